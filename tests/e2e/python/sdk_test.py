"""The official SDK for Python, unchanged but for base URL and key.

Run by tests/e2e/sdk-python.test.mjs, which starts the servers and passes
GATEWAY, KEY and EMULATOR.
"""

import asyncio
import json
import os
import unittest
import urllib.request

import anthropic

MODEL = "claude-sonnet-5-5"
WEATHER = {
    "name": "get_weather",
    "description": "The weather of a place",
    "input_schema": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
}


def client(**more):
    return anthropic.Anthropic(base_url=os.environ["GATEWAY"], api_key=os.environ["KEY"], **{"max_retries": 0, **more})


def ask(text, control=None, **more):
    body = {"model": MODEL, "max_tokens": 64, "messages": [{"role": "user", "content": text}], **more}
    if control:
        body["metadata"] = {"user_id": "emulator:" + control}
    return body


def emulator(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{os.environ['EMULATOR']}/emulator/{path}", data, {"content-type": "application/json"})
    with urllib.request.urlopen(request) as response:
        text = response.read()
    return json.loads(text) if text else None


class Sdk(unittest.TestCase):
    def setUp(self):
        emulator("reset", {})

    def test_message(self):
        message = client().messages.create(**ask("Hello", "output-tokens=20"))
        self.assertEqual((message.type, message.model), ("message", MODEL))
        self.assertEqual(message.usage.output_tokens, 20)

    def test_stream(self):
        with client().messages.stream(**ask("A story", "output-tokens=40")) as stream:
            text = "".join(stream.text_stream)
            message = stream.get_final_message()
        self.assertEqual(message.content[0].text, text)
        self.assertEqual(message.usage.output_tokens, 40)

    def test_async_stream(self):
        async def run():
            async with anthropic.AsyncAnthropic(
                base_url=os.environ["GATEWAY"], api_key=os.environ["KEY"], max_retries=0
            ) as sdk:
                async with sdk.messages.stream(**ask("A story", "output-tokens=40")) as stream:
                    return [event.type async for event in stream]

        types = asyncio.run(run())
        self.assertEqual(types[0], "message_start")
        self.assertEqual(types[-1], "message_stop")

    def test_tools(self):
        with client().messages.stream(**ask("Weather in Oslo?", "tool=get_weather", tools=[WEATHER])) as stream:
            message = stream.get_final_message()
        self.assertEqual(message.stop_reason, "tool_use")
        call = next(block for block in message.content if block.type == "tool_use")
        self.assertEqual(call.name, "get_weather")

    def test_errors(self):
        for control, error, status in [
            ("fault=403", anthropic.PermissionDeniedError, 403),
            ("fault=500", anthropic.InternalServerError, 500),
            ("fault=529", anthropic.InternalServerError, 529),
        ]:
            with self.assertRaises(error) as caught:
                client().messages.create(**ask("x", control))
            self.assertEqual(caught.exception.status_code, status)
            self.assertTrue(caught.exception.request_id)
        with self.assertRaises(anthropic.NotFoundError):
            client().messages.create(**ask("x", model="claude-nobody-9"))

    def test_retries(self):
        emulator("faults", [{"what": "529", "next": 2, "retry_after_s": 0}])
        self.assertEqual(client(max_retries=2).messages.create(**ask("Hello")).type, "message")

    def test_leaving_a_stream(self):
        with client().messages.stream(
            **ask("Count", "output-tokens=20000;tokens-per-s=50", max_tokens=20000)
        ) as stream:
            next(iter(stream.text_stream))
        # The next request works, and the server's side is checked by the runner.
        self.assertEqual(client().messages.create(**ask("Hello")).type, "message")

    def test_count_tokens(self):
        counted = client().messages.count_tokens(model=MODEL, messages=[{"role": "user", "content": "How many?"}])
        self.assertGreater(counted.input_tokens, 3)

    def test_models(self):
        ids = [model.id for model in client().models.list()]
        self.assertIn(MODEL, ids)
        self.assertEqual(client().models.retrieve(MODEL).id, MODEL)


if __name__ == "__main__":
    unittest.main()
