"""Settings: arguments > environment > `.env` > `llmkit.toml` > TinyTroupe's `config.ini`, all in the working directory.

The first that has a setting wins; of `defaults` and `deployments` each entry by itself. The environment variables are
those of the official SDK (OPENAI_API_KEY, AZURE_OPENAI_ENDPOINT, …) and LLMKIT_<NAME> for the rest. In `llmkit.toml`,
the settings of Azure stand in a table `[azure]`, parameters for every call in `[defaults]`, models of your own in
`[models]`, all others at the top.

An address holds no secrets: one with a user name, a password or a query is refused. The HTTP library would send the
password in the key's stead, a query would end up amid the path, and both would show wherever the address does.
"""

from llmkit.config.credentials import Credential
from llmkit.config.fields import TokenProvider, without_secrets
from llmkit.config.files import FILE
from llmkit.config.provenance import Origin, misspelt, origins
from llmkit.config.settings import AzureSettings, OpenAISettings, Provider, Settings, load

__all__ = [
    "FILE",
    "AzureSettings",
    "Credential",
    "OpenAISettings",
    "Origin",
    "Provider",
    "Settings",
    "TokenProvider",
    "load",
    "misspelt",
    "origins",
    "without_secrets",
]
