// A @grpc/grpc-js client of the echo server: runs checks and prints one JSON line for each.
'use strict';

const crypto = require('node:crypto');
const fs = require('node:fs');
const { parseArgs } = require('node:util');
const grpc = require('@grpc/grpc-js');

const SERVICE = '/live.Echo/';
const MIB = 1024 * 1024;
const PATIENT_MS = 60000;
const { status } = grpc;

const { values: options } = parseArgs({
  options: {
    address: { type: 'string' },
    ca: { type: 'string', default: '' },
    checks: { type: 'string', default: '' },
    sequential: { type: 'string', default: '10000' },
    parallel: { type: 'string', default: '1500' },
    messages: { type: 'string', default: '2000' },
    idle: { type: 'string', default: '12' },
    mode: { type: 'string', default: 'checks' },
  },
});
const messages = Number(options.messages);
const raw = (message) => Buffer.from(message);
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const after = (ms) => new Date(Date.now() + ms);

function same(got, want) {
  const equal = Buffer.isBuffer(got) && Buffer.isBuffer(want) ? got.equals(want) : got === want;
  if (!equal) {
    throw new Error(`got ${String(got).slice(0, 80)} (${got?.length}), want ${String(want).slice(0, 80)} (${want?.length})`);
  }
}

// The message with this number, as the server makes and checks it.
function fill(number) {
  return Buffer.alloc((number * 7919) % 20481, number % 251);
}

// A channel of its own, with the number of connections that it made.
class Client {
  constructor(more = {}) {
    const credentials = options.ca
      ? grpc.credentials.createSsl(fs.readFileSync(options.ca))
      : grpc.credentials.createInsecure();
    this.grpc = new grpc.Client(options.address, credentials, {
      'grpc.use_local_subchannel_pool': 1,
      'grpc.max_receive_message_length': 64 * MIB,
      'grpc.max_send_message_length': 64 * MIB,
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 200,
      ...more,
    });
    this.connections = 0;
    this.watch(this.grpc.getChannel().getConnectivityState(false));
  }

  watch(state) {
    const channel = this.grpc.getChannel();
    channel.watchConnectivityState(state, after(3600000), () => {
      if (this.closed) return;
      const now = channel.getConnectivityState(false);
      if (now === grpc.connectivityState.READY) this.connections += 1;
      this.watch(now);
    });
  }

  close() {
    this.closed = true;
    this.grpc.close();
  }

  call(name, message, { metadata = new grpc.Metadata(), ms = PATIENT_MS } = {}) {
    const path = name.startsWith('/') ? name : SERVICE + name;
    metadata.setOptions({ waitForReady: true });
    return new Promise((resolve, reject) => {
      const answered = (error, answer) => (error ? reject(error) : resolve(answer));
      this.grpc.makeUnaryRequest(path, raw, raw, Buffer.from(message), metadata, { deadline: after(ms) }, answered);
    });
  }

  open(name, { metadata = new grpc.Metadata(), ms = PATIENT_MS } = {}) {
    return new Stream(this.grpc.makeBidiStreamRequest(SERVICE + name, raw, raw, metadata, { deadline: after(ms) }));
  }

  async echo(message, more) {
    same(await this.call('Unary', message, more), Buffer.from(message));
  }

  async fails(name, message, code, text, more) {
    let answer;
    try {
      answer = await this.call(name, message, more);
    } catch (error) {
      same(error.code, code);
      if (text !== undefined) same(error.details, text);
      return;
    }
    throw new Error(`the call did not fail: ${answer.length} bytes`);
  }
}

// A stream whose answers are read one by one.
class Stream {
  constructor(call) {
    this.call = call;
    this.ended = false;
    this.answers = null;
    this.end = new Promise((resolve) => call.on('status', resolve)).finally(() => (this.ended = true));
    call.on('error', () => {});
  }

  async write(message) {
    if (!this.call.write(message)) {
      await Promise.race([new Promise((done) => this.call.once('drain', done)), this.end]);
    }
  }

  // Sends more than anybody wants to read, until the stream is over.
  async flood() {
    for (let number = 0; number < 500 && !this.ended; number += 1) await this.write(Buffer.alloc(20000, 'x'));
  }

  async next() {
    this.answers ??= this.call[Symbol.asyncIterator]();
    const { value, done } = await this.answers.next();
    return done ? null : value;
  }

  // All answers of a stream that may end in any way, and its status.
  async rest() {
    const answers = [];
    this.call.on('data', (answer) => answers.push(answer));
    return { ...(await this.end), answers };
  }
}

const key = (name) => `${name}-js-${process.pid}`;

function keyed(name) {
  const metadata = new grpc.Metadata();
  metadata.set('key', key(name));
  return metadata;
}

async function hold(client, name, ms = PATIENT_MS) {
  const stream = client.open('Hold', { metadata: keyed(name), ms });
  await stream.write(Buffer.from('here'));
  same(await stream.next(), Buffer.from('here'));
  return stream;
}

// Waits until all streams of a key that reached the server are over there.
async function over(client, name, least) {
  for (const until = Date.now() + 10000; ; await sleep(20)) {
    const [opened, closed] = String(await client.call('Lives', key(name))).split(' ').map(Number);
    if (opened === closed && opened >= least) return;
    if (Date.now() > until) throw new Error(`the server knows ${opened} streams of which ${closed} are over`);
  }
}

const zipping = () => new Client({ 'grpc.default_compression_algorithm': grpc.compressionAlgorithms.gzip });

const CHECKS = {
  unary: (client) => client.echo('hello'),
  empty: (client) => client.echo(''),
  async metadata(client) {
    const sent = {
      plain: Buffer.from('a value, with ~ signs'),
      'some-bin': Buffer.from(Array.from({ length: 256 }, (_, i) => i)),
      'none-bin': Buffer.alloc(0),
      long: Buffer.alloc(5000, 'x'),
    };
    const pairs = () => {
      const metadata = new grpc.Metadata();
      for (const [name, value] of Object.entries(sent)) {
        metadata.set(name, name.endsWith('-bin') ? value : value.toString());
      }
      return metadata;
    };
    for (let round = 0; round < 3; round += 1) {
      for (const [name, value] of Object.entries(sent)) {
        same(await client.call('Metadata', name, { metadata: pairs() }), value);
      }
    }
    await client.fails('Metadata', 'absent', status.NOT_FOUND, 'no absent', { metadata: pairs() });
  },
  async statuses(client) {
    for (let code = 1; code <= 16; code += 1) {
      for (const text of ['', 'plain', 'Грешка 値 ✓ 100% "a"\n b\tc']) {
        await client.fails('Fail', `${code} ${text}`, code, text);
      }
    }
  },
  async crash(client) {
    await client.fails('Crash', 'x', status.INTERNAL);
    await client.echo('hello');
  },
  async unknown(client) {
    await client.fails('Nothing', 'x', status.UNIMPLEMENTED, 'unknown method Nothing for service live.Echo');
    await client.fails('/live.Nobody/Unary', 'x', status.UNIMPLEMENTED, 'unknown service live.Nobody');
  },
  big4: (client) => client.echo(crypto.randomBytes(4 * MIB)),
  big30: (client) => client.echo(crypto.randomBytes(30 * MIB)),
  async limit(client) {
    await client.fails('Unary', Buffer.alloc(33 * MIB), status.RESOURCE_EXHAUSTED);
    await client.echo('hello');
  },
  async gzip() {
    const client = zipping();
    for (const message of [Buffer.alloc(0), Buffer.alloc(MIB), crypto.randomBytes(300000)]) await client.echo(message);
    client.close();
  },
  // Small on its way and beyond the server's limit when inflated.
  async bomb(plain) {
    const client = zipping();
    await client.fails('Unary', Buffer.alloc(40 * MIB), status.RESOURCE_EXHAUSTED);
    await client.echo('hello');
    client.close();
    await plain.echo('hello');
  },
  async push(client) {
    const stream = client.open('Push');
    await stream.write(Buffer.from(String(messages)));
    stream.call.end();
    for (let number = 0; number < messages; number += 1) same(await stream.next(), fill(number));
    same(await stream.next(), null);
    same((await stream.end).code, status.OK);
  },
  async count(client) {
    const stream = client.open('Count');
    let size = 0;
    for (let number = 0; number < messages; number += 1) {
      const message = fill(number);
      size += message.length;
      await stream.write(message);
    }
    stream.call.end();
    same(await stream.next(), Buffer.from(`${messages} ${size}`));
    same(await stream.next(), null);
  },
  async chat(client) {
    const stream = client.open('Chat');
    const sent = (async () => {
      for (let number = 0; number < messages; number += 1) await stream.write(fill(number));
      stream.call.end();
    })();
    for (let number = 0; number < messages; number += 1) same(await stream.next(), fill(number));
    same(await stream.next(), null);
    await sent;
  },
  async early(client) {
    for (let round = 0; round < 5; round += 1) {
      const stream = client.open('Early');
      const rest = stream.rest();
      await stream.flood();
      const { answers, code, details } = await rest;
      same(details, 'достаточно ✓');
      same(code, status.OUT_OF_RANGE);
      // With a status other than OK this library drops what it has received and not handed over yet.
      if (answers.length > 3) throw new Error(`${answers.length} answers came before the end, want 3`);
    }
    await client.echo('hello');
  },
  async broken(client) {
    const stream = client.open('Broken');
    await stream.write(Buffer.from('x'));
    await stream.write(Buffer.from('x'));
    const { answers, code } = await stream.rest();
    same(code, status.OK);
    same(answers.length, 1);
    await client.echo('hello');
  },
  async refused(client) {
    const stream = client.open('Refused');
    await stream.flood();
    const { code, details } = await stream.rest();
    same(code, status.PERMISSION_DENIED);
    same(details, 'не для вас');
  },
  async deadline(client) {
    const began = Date.now();
    await client.fails('Later', '5000', status.DEADLINE_EXCEEDED, undefined, { ms: 200 });
    if (Date.now() - began > 3000) throw new Error('it took more than 3 s');
    for (const seconds of [180000, 60, 30, 10]) await client.echo('hello', { ms: seconds * 1000 });
  },
  async deadline_of_stream(client) {
    const stream = await hold(client, 'deadline', 700);
    same((await stream.rest()).code, status.DEADLINE_EXCEEDED);
    await over(client, 'deadline', 1);
  },
  async cancel(client) {
    const stream = await hold(client, 'cancel');
    stream.call.cancel();
    same((await stream.rest()).code, status.CANCELLED);
    await over(client, 'cancel', 1);
  },
  async sequential(client) {
    const message = crypto.randomBytes(200);
    for (let number = 0; number < Number(options.sequential); number += 1) await client.echo(message);
  },
  async parallel(client) {
    const calls = Array.from({ length: Number(options.parallel) }, () => client.call('Later', '300'));
    for (const answer of await Promise.all(calls)) same(answer, Buffer.from('300'));
    same(client.connections, 1);
  },
  async cancels(client) {
    for (let number = 0; number < 300; number += 1) {
      const stream = client.open('Hold', { metadata: keyed('cancels') });
      if (number % 2) stream.call.write(Buffer.from('here'));
      await sleep(0); // cancelled in the turn it begins, this library begins it all the same and never resets it
      stream.call.cancel();
    }
    await over(client, 'cancels', 0);
    same(client.connections, 1);
  },
};

// Beside the other checks, on connections of its own: one with a stream, one without.
async function idle() {
  const pings = {
    'grpc.keepalive_time_ms': 1000,
    'grpc.keepalive_timeout_ms': 5000,
    'grpc.keepalive_permit_without_calls': 1,
  };
  const client = new Client(pings);
  const without = new Client(pings);
  const stream = await hold(client, 'idle', Number(options.idle) * 1000 + PATIENT_MS);
  await without.echo('hello');
  await sleep(Number(options.idle) * 1000);
  await stream.write(Buffer.from('again'));
  same(await stream.next(), Buffer.from('again'));
  await without.echo('hello');
  same(client.connections + without.connections, 2);
  stream.call.cancel();
  client.close();
  without.close();
}

async function say(check, run) {
  const began = Date.now();
  let why = '';
  try {
    await run();
  } catch (error) {
    why = String(error.message || error);
  }
  console.log(JSON.stringify({ check, ok: !why, why, s: (Date.now() - began) / 1000 }));
}

// Says when it has begun, then calls without a pause until the input ends. No call may fail, whatever the server does.
async function load() {
  const client = new Client();
  await say('started', () => client.echo('hello'));
  let leaving = false;
  let calls = 0;
  const failures = [];
  process.stdin.on('end', () => (leaving = true)).resume();
  const work = async (slow) => {
    while (!leaving) {
      calls += 1;
      try {
        await (slow ? client.call('Later', '20') : client.echo('hello'));
      } catch (error) {
        failures.push(error.message);
      }
    }
  };
  await Promise.all([0, 1, 2, 3, 4, 5, 6, 7].map((number) => work(number % 2 === 0)));
  const why = failures.length ? `${failures.length} of ${calls} calls failed: ${failures[0]}` : '';
  console.log(JSON.stringify({ check: 'load', ok: !why, why, calls }));
  process.exit(0);
}

async function main() {
  if (options.mode === 'load') return load();
  const names = options.checks.split(',').filter(Boolean);
  const wanted = (name) => !names.length || names.includes(name);
  const idled = wanted('idle') ? say('idle', idle) : null;
  const client = new Client();
  for (const [name, check] of Object.entries(CHECKS)) {
    if (wanted(name)) await say(name, () => check(client));
  }
  await idled;
  process.exit(0);
}

main();
