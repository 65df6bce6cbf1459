"""Run by the llama.cpp environment's Python: loads a GGUF pair with xllamacpp and answers chat requests.

Arguments: folder of the pair, a JSON file with a list of OpenAI chat bodies. Prints a JSON list of the
answers."""

import json
import sys
from pathlib import Path

import xllamacpp


def main() -> None:
    folder, bodies = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())
    params = xllamacpp.CommonParams()
    params.model.path = str(folder / "canary-f16.gguf")
    params.mmproj.path = str(folder / "mmproj-canary-f16.gguf")
    params.n_ctx = 1024
    params.n_parallel = 1
    params.use_jinja = True
    params.cpuparams.n_threads = 1
    server = xllamacpp.Server(params)
    answers = []
    for body in bodies:
        reply = server.handle_chat_completions({"temperature": 0, "max_tokens": 32, **body})
        if isinstance(reply, (str, bytes)):
            reply = json.loads(reply)
        answers.append(reply["choices"][0]["message"]["content"])
    print(json.dumps(answers))


main()
