"""A client of the articles: requests, a picture in base64.

Words: BASE_URL KEY MODEL FILE QUESTION.
"""

import base64
import sys
from pathlib import Path

import requests

base_url, key, model, file, question = sys.argv[1:]
encoded = base64.b64encode(Path(file).read_bytes()).decode()
content = [
    {"type": "text", "text": question},
    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded}"}},
]
answer = requests.post(
    f"{base_url}/chat/completions",
    headers={"Authorization": f"Bearer {key}"},
    json={"model": model, "messages": [{"role": "user", "content": content}]},
    timeout=120,
)
answer.raise_for_status()
print(answer.json()["choices"][0]["message"]["content"])
