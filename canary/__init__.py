"""The canary: a tiny vision-language model, the pictures it learns from, and the way it is trained."""
