// A provider and consumer on npm's nacos: orders on standard input, one JSON line of answer each.

import { once } from 'node:events';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';

// Configuration clients of one machine speak through the first of them that took this port, whatever server they were given.
const taken = createServer().listen(0, '127.0.0.1');
await once(taken, 'listening');
process.env.NODE_CLUSTER_CLIENT_PORT = taken.address().port;
taken.close();
await once(taken, 'close');
const { default: nacos } = await import('nacos');

const { values: given } = parseArgs({
  options: {
    nacos: { type: 'string' },
    folder: { type: 'string' },
    user: { type: 'string' },
    password: { type: 'string' },
    namespace: { type: 'string' },
  },
});
const note = (...words) => console.error(...words);
const logger = { debug() {}, info: note, warn: note, error: note, log: note };

const namings = new Map();
const changes = new Map();
const listeners = new Map();
const configClients = new Map();
const told = new Map();
const fileListeners = new Map();

// A library's client is bound to one namespace.
async function naming(namespace = '') {
  if (!namings.has(namespace)) {
    const made = new nacos.NacosNamingClient({
      logger,
      serverList: given.nacos,
      namespace: namespace || 'public',
      username: given.user,
      password: given.password,
    });
    made.on('error', note);
    await made.ready();
    namings.set(namespace, made);
  }
  return namings.get(namespace);
}

// Configuration: a file is an order's "service". All clients of a process speak of the namespace of the first one.
async function configs(namespace = given.namespace ?? '') {
  if (!configClients.has(namespace)) {
    const made = new nacos.NacosConfigClient({
      logger,
      serverAddr: given.nacos,
      namespace,
      username: given.user,
      password: given.password,
      cacheDir: `${given.folder}/config`,
    });
    made.on('error', note);
    await made.ready();
    configClients.set(namespace, made);
  }
  return configClients.get(namespace);
}

const groupOf = (order) => order.group ?? 'DEFAULT_GROUP';
const filesOf = (order) => (order.files?.length ? order.files : [order.service]);

const key = (order) => [order.namespace ?? '', order.group ?? '', order.service].join(' ');
const watched = (order) => ({
  serviceName: order.service,
  groupName: order.group,
  clusters: (order.clusters ?? []).join(','),
});

function instance(order) {
  return {
    ip: order.ip,
    port: order.port,
    weight: order.weight ?? 1,
    ephemeral: order.ephemeral ?? true,
    enabled: order.enabled ?? true,
    healthy: true,
    clusterName: order.cluster ?? 'DEFAULT',
    metadata: order.metadata ?? {},
  };
}

function view(one) {
  const { instanceId, ip, port, weight, healthy, enabled, ephemeral, clusterName, serviceName, metadata } = one;
  return {
    id: instanceId, ip, port, weight, healthy, enabled, ephemeral, cluster: clusterName, service: serviceName, metadata,
  };
}

const commands = {
  async register(order) {
    await (await naming(order.namespace)).registerInstance(order.service, instance(order), order.group);
    return {};
  },
  async deregister(order) {
    await (await naming(order.namespace)).deregisterInstance(order.service, instance(order), order.group);
    return {};
  },
  async instances(order) {
    const client = await naming(order.namespace);
    const clusters = (order.clusters ?? []).join(',');
    const found = await client.getAllInstances(order.service, order.group, clusters, order.subscribe ?? false);
    return { instances: found.map(view) };
  },
  // The library does not choose: the first of those that it would let one choose from.
  async one(order) {
    const client = await naming(order.namespace);
    const clusters = (order.clusters ?? []).join(',');
    const found = await client.selectInstances(order.service, order.group, clusters, true, false);
    return { instances: found.slice(0, 1).map(view) };
  },
  async watch(order) {
    const seen = [];
    changes.set(key(order), seen);
    const listener = (hosts) => seen.push({ at: Date.now(), instances: hosts.map(view) });
    listeners.set(key(order), listener);
    (await naming(order.namespace)).subscribe(watched(order), listener);
    return {};
  },
  async unwatch(order) {
    (await naming(order.namespace)).unSubscribe(watched(order), listeners.get(key(order)));
    return {};
  },
  async changes(order) {
    return { changes: changes.get(key(order)) ?? [] };
  },
  async status(order) {
    return { status: await (await naming(order.namespace)).getServerStatus() };
  },
  async publish(order) {
    const client = await configs(order.namespace);
    const type = order.type ?? 'text';
    return { done: await client.publishSingle(order.service, groupOf(order), order.content, { type }) };
  },
  async content(order) {
    const found = await (await configs(order.namespace)).getConfig(order.service, groupOf(order));
    return found === null || found === undefined ? {} : { content: found };
  },
  async remove(order) {
    return { done: await (await configs(order.namespace)).remove(order.service, groupOf(order)) };
  },
  async listen(order) {
    const seen = [];
    told.set(key(order), seen);
    const client = await configs(order.namespace);
    for (const file of filesOf(order)) {
      const listener = (content) => seen.push({ at: Date.now(), file, content: content ?? '' });
      fileListeners.set(`${key(order)} ${file}`, listener);
      client.subscribe({ dataId: file, group: groupOf(order) }, listener);
    }
    return {};
  },
  async mute(order) {
    const client = await configs(order.namespace);
    for (const file of filesOf(order)) {
      const listener = fileListeners.get(`${key(order)} ${file}`);
      client.unSubscribe({ dataId: file, group: groupOf(order) }, listener);
    }
    return {};
  },
  async told(order) {
    return { changes: told.get(key(order)) ?? [] };
  },
  async leave() {
    for (const client of configClients.values()) client.close();
    for (const client of namings.values()) await client.close();
    return { left: true };
  },
};

function say(message) {
  return new Promise((written) => {
    process.stdout.write(`${JSON.stringify(message)}\n`, written);
  });
}

async function obey(order) {
  try {
    const command = commands[order.do];
    return command ? await command(order) : { error: `unknown command ${order.do}` };
  } catch (failure) {
    return { error: String(failure) };
  }
}

await naming();
await say({ ready: true });
for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line);
  await say(await obey(order));
  if (order.do === 'leave') process.exit(0);
}
process.exit(0);
