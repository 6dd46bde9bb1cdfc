//! The assistant: prompt, generation over an OpenAI-compatible server, limits.
