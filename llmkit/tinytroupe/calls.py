"""A prompt as one object: templates, parameters, and what came of it."""

from typing import Any

from llmkit import tinytroupe as home


class LLMCall:
    """One call of the model: a system template, perhaps a user template, and parameters of `send_message`.

    `messages`, `model_config` and `model_output` are what was sent and what came, after `call()`.
    """

    def __init__(self, system_template_name: str, user_template_name: str | None = None, **model_params: Any) -> None:
        self.system_template_name = system_template_name
        self.user_template_name = user_template_name
        self.model_params = model_params
        self.model_config: dict[str, Any] = {}
        self.messages: list[dict[str, str]] = []
        self.model_output: dict[str, Any] | None = None

    def call(self, **rendering_configs: Any) -> Any:
        """Render the templates, ask the model, return the content of its answer; None, and a log line, without one."""
        self.messages = home.utils.compose_initial_LLM_messages_with_templates(
            self.system_template_name, self.user_template_name, rendering_configs
        )
        self.model_config = dict(self.model_params)
        self.model_output = home.client().send_message(self.messages, **self.model_params)
        if self.model_output is not None and "content" in self.model_output:
            return self.model_output["content"]
        home.logger.error("Model output does not contain 'content' key: %s", self.model_output)
        return None

    def __repr__(self) -> str:
        return f"LLMCall(messages={self.messages}, model_config={self.model_config}, model_output={self.model_output})"
