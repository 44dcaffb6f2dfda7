"""One module a client: how it is asked, and where its replies say what they say."""
