"""Language models behind any OpenAI-compatible API: calls, structured answers, prompts, cleaning, usage and cost."""
