/* A service in JavaScript: its configuration is the first argument, then a question a line on standard input. What happens to the
 * client (its own events), its warnings, and the answers are a JSON line each on standard output.
 *
 *   app NAME     the instances that it knows of an application      vip NAME     of a virtual address
 *   delta        ask for what has changed, now                      full         ask for everything, now
 *   stop         deregister, and end
 */
const readline = require('readline');
const { Eureka } = require('eureka-js-client');

const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
const level = (name) => (...args) => say({ log: name, text: args.map(String).join(' ') });
const logger = { debug() {}, info() {}, warn: level('warn'), error: level('error') };
const client = new Eureka({ ...JSON.parse(process.argv[2]), logger });

for (const event of ['started', 'registered', 'deregistered', 'heartbeat', 'registryUpdated'])
  client.on(event, () => say({ event }));

const short = (instances) => instances.map((i) => ({ id: i.instanceId, status: i.status, metadata: i.metadata }));
const answers = {
  app: (name) => say({ answer: short(client.getInstancesByAppId(name)) }),
  vip: (name) => say({ answer: short(client.getInstancesByVipAddress(name)) }),
  delta: () => client.fetchDelta((error) => say({ answer: String(error || 'ok') })),
  full: () => client.fetchFullRegistry((error) => say({ answer: String(error || 'ok') })),
  stop: () => client.stop((error) => { say({ answer: String(error || 'ok') }); process.exit(error ? 1 : 0); }),
};

client.start((error) => say({ start: String(error || 'ok') }));
readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const [verb, ...rest] = line.split(' ');
  answers[verb](...rest);
});
