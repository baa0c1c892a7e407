// Every kind of call against the echo server. Prints a line of JSON per check: its name, and what went wrong or "".
'use strict';
const fs = require('fs');
const crypto = require('crypto');
const grpc = require('@grpc/grpc-js');

const same = (value) => value;
const method = (name, requestStream, responseStream) => ({
  path: `/check.Echo/${name}`, requestStream, responseStream,
  requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same,
});
const Client = grpc.makeGenericClientConstructor({
  unary: method('Unary', false, false), header: method('Header', false, false), never: method('Never', false, false),
  closed: method('Closed', false, false), refuse: method('Refuse', false, false), fail: method('Fail', false, false),
  nothing: method('Nothing', false, false), stream: method('Stream', true, true), last: method('Last', true, false),
  pushes: method('Stream', false, true),
}, 'Echo');
const security = process.argv[3]
  ? grpc.credentials.createSsl(fs.readFileSync(process.argv[3])) : grpc.credentials.createInsecure();
const client = new Client(process.argv[2], security, {
  'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1, 'grpc.keepalive_time_ms': 10000,
  'grpc.keepalive_permit_without_calls': 1,
});

const call = (name, message, metadata = new grpc.Metadata(), options = { deadline: Date.now() + 60000 }) =>
  new Promise((resolve, reject) =>
    client[name](message, metadata, options, (error, answer) => (error ? reject(error) : resolve(answer))));
const check = (ok, text) => { if (!ok) throw new Error(text); };
const echo = async (message) => check((await call('unary', message)).equals(message), 'another answer');
const refused = (name, code, text, ...more) => async () => {
  const error = await call(name, Buffer.alloc(0), ...more).then(() => null, (found) => found);
  check(error && error.code === code && (!text || error.details === text), `${error} instead of ${code} ${text}`);
};
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function bothWays(count) {
  const stream = client.stream();
  const sent = Array.from({ length: count }, (_, n) => crypto.randomBytes((n * 10) % 20000));
  let at = 0;
  const done = new Promise((resolve, reject) => {
    stream.on('data', (answer) => { if (!answer.equals(sent[at])) reject(new Error(`message ${at} differs`)); at += 1; });
    stream.on('error', reject);
    stream.on('end', resolve);
  });
  for (const message of sent) {
    if (!stream.write(message)) await new Promise((resolve) => stream.once('drain', resolve));
  }
  stream.end();
  await done;
  check(at === count, `${at} answers`);
}

async function serverStream() {
  let seen = 0;
  for await (const answer of client.pushes(Buffer.from('many'))) {
    check(seen === 100 || answer.toString() === `${seen}`, `${answer} is number ${seen}`);
    seen += 1;
  }
  check(seen === 101, `${seen} answers`);
}

async function clientStream() {
  const answer = await new Promise((resolve, reject) => {
    const stream = client.last((error, found) => (error ? reject(error) : resolve(found)));
    for (let n = 0; n < 1000; n += 1) stream.write(crypto.randomBytes(100));
    stream.write(Buffer.from('last'));
    stream.end();
  });
  check(answer.toString() === '1001', answer.toString());
}

async function metadata() {
  for (const [name, value] of [['x-text', 'some text'], ['x-octets-bin', Buffer.from([0, 255, 7])]]) {
    const headers = new grpc.Metadata();
    headers.set(name, value);
    const answer = await call('header', Buffer.from(name), headers);
    check(answer.equals(Buffer.from(value)), `${name} is ${answer}`);
  }
}

async function cancels(count) {
  const closed = async () => Number(await call('closed', Buffer.alloc(0)));
  const before = await closed();
  for (let n = 0; n < count; n += 1) {
    const stream = client.stream();
    stream.on('error', () => {});
    stream.write(Buffer.from('never'));
    await pause(n % 50 ? 0 : 5);
    stream.cancel();
  }
  const end = Date.now() + 5000;
  // A stream cancelled before it was sent never reaches the server.
  while ((await closed()) < before + count / 2) {
    check(Date.now() < end, `${(await closed()) - before} of ${count} handlers were told`);
    await pause(10);
  }
}

async function inARow(count) {
  for (let n = 0; n < count; n += 1) await echo(crypto.randomBytes(n % 300));
}

async function idle() {
  await pause(1000 * Number(process.env.IDLE_S || 0));
  await echo(Buffer.from('still here'));
}

const checks = {
  'unary': () => echo(Buffer.from('hello')),
  'empty': () => echo(Buffer.alloc(0)),
  '4 MiB': () => echo(crypto.randomBytes(4 << 20)),
  '30 MiB': () => echo(crypto.randomBytes(30 << 20)),
  'too large': () => call('unary', Buffer.alloc(65 << 20)).then(
    () => check(false, 'answered'), (error) => check(error.code === 8, `${error}`)),
  'metadata': metadata,
  'status': refused('refuse', 10, 'für später: 50%\n'),
  'failure': refused('fail', 13, 'internal error'),
  'unknown method': refused('nothing', 12, 'unknown method Nothing for service check.Echo'),
  'both ways': () => bothWays(2000),
  'server stream': serverStream,
  'client stream': clientStream,
  'deadline': () => refused('never', 4, '', new grpc.Metadata(), { deadline: Date.now() + 100 })(),
  'cancels': () => cancels(300),
  '3,000 in a row': () => inARow(3000),
  '1,500 at once': () => Promise.all(Array.from({ length: 1500 }, () => echo(crypto.randomBytes(200)))),
  'idle': idle,
};

(async () => {
  for (const [name, run] of Object.entries(checks)) {
    const error = await run().then(() => '', (found) => `${found.message || found}`);
    console.log(JSON.stringify({ check: name, error }));
  }
  client.close();
})();
