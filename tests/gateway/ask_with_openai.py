"""A client of the articles: the openai package, a picture by URL.

Words: BASE_URL KEY MODEL PICTURE QUESTION.
"""

import sys

from openai import OpenAI

base_url, key, model, picture, question = sys.argv[1:]
client = OpenAI(base_url=base_url, api_key=key)
content = [{"type": "text", "text": question}, {"type": "image_url", "image_url": {"url": picture}}]
answer = client.chat.completions.create(model=model, messages=[{"role": "user", "content": content}])
print(answer.choices[0].message.content)
