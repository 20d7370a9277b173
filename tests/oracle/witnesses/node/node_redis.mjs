import { library, times } from "./library.mjs";

const { createClient } = library("redis");

async function using(options, use) {
  const redis = createClient(options);
  redis.on("error", () => {});
  await redis.connect();
  try {
    await use(redis);
  } finally {
    redis.destroy();
  }
}

const at = ({ redis_port }, options) => ({
  socket: { host: "127.0.0.1", port: redis_port, reconnectStrategy: false },
  ...options,
});

async function fiveGets(redis) {
  for (let number = 0; number < 5; number++) await redis.get("key");
}

export const node_redis_get = (where) => using(at(where), fiveGets);
export const node_redis_get_resp3 = (where) => using(at(where, { RESP: 3 }), fiveGets);
export const node_redis_unix = (where) => using({ socket: { path: where.redis_unix, tls: false } }, fiveGets);
export const node_redis_login = (where) =>
  using(at(where, { username: "guest", password: where.redis_password, database: 3, name: "oracle" }), fiveGets);

export const node_redis_together = (where) => using(at(where), async (redis) => {
  await redis.get("key");
  await times(10, (number) => redis.get(`key:${number}`));
});

export const node_redis_pipeline = (where) => using(at(where), async (redis) => {
  const pipeline = redis.multi();
  for (let number = 0; number < 100; number++) pipeline.set(`key:${number}`, "x");
  await pipeline.execAsPipeline();
});

export const node_redis_multi = (where) => using(at(where), async (redis) => {
  await redis.multi().rPush("turns", "a").lTrim("turns", -5, -1).expire("turns", 60).exec();
});

export const node_redis_pubsub = (where) => using(at(where), (listener) => using(at(where), async (redis) => {
  let told;
  const heard = new Promise((resolve) => { told = resolve; });
  await listener.subscribe(["news", "weather"], told);
  await redis.publish("news", "hello");
  await heard;
}));
