// A caller on @grpc/grpc-js-xds: orders on standard input, one JSON line of answer each. The bootstrap is the environment's.
import readline from "node:readline";

import grpc from "@grpc/grpc-js";
import xds from "@grpc/grpc-js-xds";

xds.register();

const channels = new Map();
const bytes = (value) => value;

function channel(target) {
  let made = channels.get(target);
  if (made === undefined) {
    made = new grpc.Client(target, grpc.credentials.createInsecure());
    channels.set(target, made);
  }
  return made;
}

function ask(client, order) {
  const metadata = new grpc.Metadata();
  for (const [name, value] of Object.entries(order.metadata)) metadata.set(name, value);
  const options = { deadline: Date.now() + order.within_ms };
  return new Promise((resolve) => {
    const told = (error, body) => resolve({ error, body });
    client.makeUnaryRequest(order.path, bytes, bytes, Buffer.alloc(0), metadata, options, told);
  });
}

// Calls one after the other; how often each back-end answered, and how often each status came.
async function call(order) {
  const client = channel(order.target);
  const answers = {};
  const failures = {};
  let reason = "";
  for (let turn = 0; turn < order.times; turn += 1) {
    const { error, body } = await ask(client, order);
    const [counts, key] = error ? [failures, grpc.status[error.code]] : [answers, body.toString()];
    counts[key] = (counts[key] ?? 0) + 1;
    if (error) reason = error.details;
  }
  return { answers, failures, reason };
}

function hangUp(order) {
  channels.get(order.target)?.close();
  channels.delete(order.target);
  return {};
}

const commands = { call, "hang up": hangUp };

function say(what) {
  process.stdout.write(`${JSON.stringify(what)}\n`);
}

say({ ready: true });
for await (const line of readline.createInterface({ input: process.stdin })) {
  const order = JSON.parse(line);
  try {
    say(await commands[order.do](order));
  } catch (error) {
    say({ error: String(error) });
  }
}
