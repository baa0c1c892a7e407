// A provider and consumer on npm's consul: orders on standard input, one JSON line of answer each.

import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import Consul from 'consul';

const { values: given } = parseArgs({ options: { consul: { type: 'string' }, folder: { type: 'string' } } });
const [host, port] = given.consul.split(':');
const consul = new Consul({ host, port: Number(port) });
const changes = new Map();
const watches = new Map();
const RANK = ['passing', 'warning', 'critical'];

function view({ Node, Service, Checks }) {
  return {
    id: Service.ID,
    node: Node.Node,
    address: Service.Address || Node.Address,
    port: Service.Port,
    tags: Service.Tags,
    meta: Service.Meta ?? {},
    status: aggregated(Checks),
  };
}

function aggregated(checks) {
  if (checks.some(({ CheckID }) => /^_(service|node)_maintenance/.test(CheckID))) return 'maintenance';
  return RANK[Math.max(0, ...checks.map(({ Status }) => RANK.indexOf(Status)))];
}

// The library takes what is undefined for a value.
const present = (values) =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));

const entry = (one) =>
  one
    ? {
        key: one.Key,
        value: one.Value ?? '',
        flags: one.Flags,
        index: one.ModifyIndex,
        session: one.Session ?? '',
        locks: one.LockIndex,
      }
    : null;

const subject = (order) => `${order.service ?? ''} ${order.key ?? ''}`;

function checkOf({ ttl, http, tcp, interval, status }) {
  if (!ttl && !http && !tcp) return {};
  return { check: present({ ttl, http, tcp, interval, status }) };
}

// A false comes from the library as undefined. What is missing it calls
// an error with this number.
async function unlessMissing(call, otherwise) {
  try {
    return await call;
  } catch (error) {
    if (error.statusCode === 404) return otherwise;
    throw error;
  }
}

const commands = {
  async register(order) {
    const { service, id, address, port, tags, meta } = order;
    await consul.agent.service.register({ name: service, id, address, port, tags, meta, ...checkOf(order) });
    return {};
  },
  async deregister({ id }) {
    await consul.agent.service.deregister(id);
    return {};
  },
  async check({ id, status, note }) {
    await consul.agent.check[{ passing: 'pass', warning: 'warn', critical: 'fail' }[status]]({ id, note });
    return {};
  },
  async maintain({ id, enable = false, reason }) {
    await consul.agent.service.maintenance({ id, enable, reason });
    return {};
  },
  async instances({ service, tag, passing, filter }) {
    const found = await consul.health.service({ service, tag, passing, ...(filter ? { filter } : {}) });
    return { instances: found.map(view) };
  },
  async services() {
    return { services: await consul.catalog.service.list() };
  },
  async self() {
    return { node: (await consul.agent.self()).Config.NodeName, leader: await consul.status.leader() };
  },
  async watch(order) {
    const { service, key, passing } = order;
    const options = key ? { key, wait: '20s' } : { service, passing, wait: '20s' };
    const watch = consul.watch({
      method: key ? consul.kv.get : consul.health.service,
      options,
      backoffMax: 200,
    });
    changes.set(subject(order), []);
    watch.on('change', (data) => {
      const news = key ? { entry: entry(data) } : { instances: data.map(view) };
      changes.get(subject(order)).push({ at: Date.now(), ...news });
    });
    watch.on('error', (error) => console.error(subject(order), error.message));
    watches.set(subject(order), watch);
    return {};
  },
  async changes(order) {
    return { changes: changes.get(subject(order)) ?? [] };
  },
  async unwatch(order) {
    watches.get(subject(order)).end();
    return {};
  },
  async put({ key, value, cas, flags }) {
    return { done: (await consul.kv.set(present({ key, value, cas, flags }))) === true };
  },
  async get({ key }) {
    return { entry: entry(await consul.kv.get(key)) };
  },
  async list({ key }) {
    return { entries: ((await consul.kv.get({ key, recurse: true })) ?? []).map(entry) };
  },
  async keys({ key, separator }) {
    return { keys: await unlessMissing(consul.kv.keys({ key, separator }), []) };
  },
  async delete({ key, recurse, cas }) {
    return { done: (await consul.kv.del(present({ key, recurse, cas }))) === true };
  },
  async txn({ ops }) {
    const done = await consul.transaction.create(ops);
    return { done: true, results: done.Results.length, errors: done.Errors };
  },
  async session({ name, ttl, behavior, delay, checks }) {
    const more = checks ? { checks: ['serfHealth', ...checks] } : {};
    return { id: (await consul.session.create({ name, ttl, behavior, lockdelay: delay, ...more })).ID };
  },
  async renew({ session }) {
    return { there: (await unlessMissing(consul.session.renew(session), null)) !== null };
  },
  async destroy({ session }) {
    await consul.session.destroy(session);
    return {};
  },
  async acquire({ key, value, session }) {
    return { done: (await consul.kv.set({ key, value, acquire: session })) === true };
  },
  async release({ key, value, session }) {
    return { done: (await consul.kv.set({ key, value, release: session })) === true };
  },
  async fire({ name, value }) {
    return { id: (await consul.event.fire(name, value)).ID };
  },
  async events({ name }) {
    const found = await consul.event.list(name);
    return { events: found.map((one) => ({ id: one.ID, name: one.Name, value: one.Payload })) };
  },
  async query({ name, service, passing, tags, ttl }) {
    return { id: (await consul.query.create({ name, service: { service, onlypassing: passing, tags }, dns: { ttl } })).ID };
  },
  async execute({ name }) {
    return { instances: (await consul.query.execute(name)).Nodes.map(view) };
  },
};

const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

say({ ready: true });
for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line);
  if (order.do === 'leave') {
    say({ left: true });
    process.exit(0);
  }
  try {
    const command = commands[order.do];
    say(command ? await command(order) : { error: `unknown command ${order.do}` });
  } catch (error) {
    console.error(error);
    say({ error: `${error.message} ${error.response?.body ?? ''}` });
  }
}
