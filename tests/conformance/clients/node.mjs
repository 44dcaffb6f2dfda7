// The official Node SDK: `node node.mjs DIRECTORY`, where DIRECTORY holds the node_modules with `openai`.
// The same conversations and the same lines as talk.py.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';

const home = resolve(process.argv[2]);
const { AzureOpenAI, OpenAI } = createRequire(join(home, 'package.json'))('openai');

const origin = process.env.MOCKSERVER_ORIGIN;
const shared = JSON.parse(readFileSync(new URL('talk.json', import.meta.url), 'utf8'));
const { model, messages, tool, key, azure_version: apiVersion } = shared;

function checkWords(text, finishReason, usage) {
  assert.ok(typeof text === 'string' && text.split(/\s+/).length > 1, `expected words, got ${JSON.stringify(text)}`);
  assert.equal(finishReason, 'stop');
  checkUsage(usage);
}

function checkUsage(usage) {
  assert.ok(usage?.prompt_tokens > 0 && usage?.completion_tokens > 0, `expected usage, got ${JSON.stringify(usage)}`);
}

function weather(name, text) {
  const { properties, required } = tool.function.parameters;
  const given = JSON.parse(text);
  assert.equal(name, tool.function.name);
  assert.deepEqual(Object.keys(given).sort(), [...required].sort());
  assert.ok(typeof given.city === 'string' && given.city.length > 0, text);
  assert.ok(properties.unit.enum.includes(given.unit), text);
  assert.ok(Number.isInteger(given.days) && given.days >= 1 && given.days <= properties.days.maximum, text);
  return JSON.stringify({ city: given.city, forecast: 'sunny' });
}

function ask(client, options = {}) {
  return client.chat.completions.create({ model, messages, ...options });
}

async function plain(client) {
  const completion = await ask(client);
  const [choice] = completion.choices;
  checkWords(choice.message.content, choice.finish_reason, completion.usage);
  return choice.message.content;
}

async function streamed(client) {
  const pieces = [];
  let reason, usage;
  for await (const chunk of await ask(client, { stream: true, stream_options: { include_usage: true } })) {
    usage = chunk.usage ?? usage;
    for (const choice of chunk.choices) {
      if (choice.delta.content) pieces.push(choice.delta.content);
      reason = choice.finish_reason ?? reason;
    }
  }
  assert.ok(pieces.length > 1, 'expected a text in several pieces');
  assert.equal(pieces.join(''), await plain(client), 'the stream says something else than the plain reply');
  checkWords(pieces.join(''), reason, usage);
}

async function tools(client) {
  const completion = await ask(client, { tools: [tool] });
  checkUsage(completion.usage);
  await answered(client, completion.choices[0]);
}

async function streamedTools(client) {
  const stream = client.chat.completions.stream({ model, messages, tools: [tool] });
  const [choice] = (await stream.finalChatCompletion()).choices;
  const [whole] = (await ask(client, { tools: [tool] })).choices;
  const said = ({ message }) => message.tool_calls.map((call) => call.function.arguments);
  assert.deepEqual(said(choice), said(whole), 'the stream calls with other arguments than the plain reply');
  await answered(client, choice);
}

async function answered(client, choice) {
  assert.equal(choice.finish_reason, 'tool_calls');
  const results = choice.message.tool_calls.map((call) => {
    assert.match(call.id, /^call_[A-Za-z0-9]{24}$/);
    const content = weather(call.function.name, call.function.arguments);
    return { role: 'tool', tool_call_id: call.id, content };
  });
  const called = { role: 'assistant', content: null, tool_calls: choice.message.tool_calls };
  const second = await ask(client, { messages: [...messages, called, ...results], tools: [tool] });
  checkWords(second.choices[0].message.content, second.choices[0].finish_reason, second.usage);
}

async function held(dialect, conversation, hold, client) {
  const line = { dialect, conversation, ok: true };
  try {
    await hold(client);
  } catch (error) {
    console.error(error);
    line.ok = false;
    line.error = `${error.name}: ${error.message}`.slice(0, 500);
  }
  console.log(JSON.stringify(line));
  return line.ok;
}

const options = { apiKey: key, maxRetries: 0, timeout: 20_000 };
const clients = {
  openai: new OpenAI({ baseURL: `${origin}/v1`, ...options }),
  azure: new AzureOpenAI({ endpoint: origin, apiVersion, ...options }),
};
const conversations = { plain, streamed, tools, 'streamed tools': streamedTools };
for (const [dialect, client] of Object.entries(clients)) {
  for (const [name, hold] of Object.entries(conversations)) {
    if (!(await held(dialect, name, hold, client))) process.exitCode = 1;
  }
}
