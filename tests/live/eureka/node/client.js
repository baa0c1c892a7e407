// Provider and consumer on eureka-js-client; --delta true makes it read deltas instead of the whole registry.
import http from 'node:http';
import readline from 'node:readline';
import { parseArgs } from 'node:util';
import eurekaJsClient from 'eureka-js-client';

const text = { type: 'string' };
const { values: args } = parseArgs({
  options: {
    eureka: text, app: text, id: text, port: text, renew: text, lease: text, fetch: text,
    delta: { type: 'string', default: 'false' },
  },
});
const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);
const toStderr = (...words) => console.error(...words);

const client = new eurekaJsClient.Eureka({
  logger: { debug() {}, info: toStderr, warn: toStderr, error: toStderr },
  shouldUseDelta: args.delta === 'true',
  eureka: {
    serviceUrls: { default: [`${args.eureka}/apps/`] },
    heartbeatInterval: Number(args.renew) * 1000,
    registryFetchInterval: Number(args.fetch) * 1000,
    maxRetries: 1,
  },
  instance: {
    app: args.app,
    instanceId: args.id,
    hostName: '127.0.0.1',
    ipAddr: '127.0.0.1',
    port: { $: Number(args.port), '@enabled': true },
    vipAddress: args.app.toLowerCase(),
    dataCenterInfo: { '@class': 'com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo', name: 'MyOwn' },
    leaseInfo: { renewalIntervalInSecs: Number(args.renew), durationInSecs: Number(args.lease) },
    metadata: { zone: 'live', 'with.dot': 'a b' },
  },
});

const view = (app) => client.getInstancesByVipAddress(app.toLowerCase()).map((instance) => ({
  id: instance.instanceId,
  status: instance.status,
  host: instance.hostName,
  port: instance.port.$,
  metadata: instance.metadata,
}));

const call = (app) => new Promise((resolve, reject) => {
  const [chosen] = client.getInstancesByVipAddress(app.toLowerCase());
  http.get({ host: chosen.hostName, port: chosen.port.$, path: '/hello' }, (response) => {
    let body = '';
    response.on('data', (part) => { body += part; });
    response.on('end', () => resolve(body));
  }).on('error', reject);
});

const leave = () => new Promise((resolve, reject) => {
  client.stop((failure) => (failure ? reject(failure) : resolve()));
});

const commands = {
  view: async (app) => ({ instances: view(app) }),
  call: async (app) => ({ body: await call(app) }),
  leave: async () => { await leave(); return { left: true }; },
};

client.start(async (failure) => {
  say(failure ? { error: String(failure) } : { ready: true });
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [command, argument] = line.split(' ');
    try {
      say(await commands[command](argument));
    } catch (problem) {
      say({ error: String(problem) });
    }
    if (command === 'leave') process.exit(0);
  }
});
