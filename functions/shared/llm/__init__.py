"""Language models behind an OpenAI-compatible API: calls, structured answers, prompts, cleaning, usage and cost."""
