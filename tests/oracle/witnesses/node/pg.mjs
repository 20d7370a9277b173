// `end` is not waited for: it lasts until the server has hung up, which is no answer to anything.
import { library, times } from "./library.mjs";

const { Client, Pool } = library("pg");

const at = (where, options) => ({
  host: where.postgres_host,
  port: where.postgres_port,
  user: where.postgres_user,
  database: where.postgres_database,
  ssl: false,
  ...options,
});

async function using(options, use) {
  const client = new Client(options);
  client.on("error", () => {});
  await client.connect();
  try {
    await use(client);
  } finally {
    client.end();
  }
}

export const pg_connect = (where) => using(at(where), async () => {});
export const pg_connect_scram = (where) =>
  using(at(where, { user: where.scram_user, password: where.scram_password }), async () => {});

export const pg_query = (where) => using(at(where), async (client) => {
  for (let number = 0; number < 3; number++) await client.query("SELECT 1");
});

export const pg_parameters = (where) => using(at(where), async (client) => {
  for (let number = 0; number < 3; number++) await client.query("SELECT $1::int", [number]);
});

export const pg_named = (where) => using(at(where), async (client) => {
  for (let number = 0; number < 3; number++) {
    await client.query({ name: "one", text: "SELECT $1::int", values: [number] });
  }
});

export const pg_transaction = (where) => using(at(where), async (client) => {
  await client.query("BEGIN");
  await client.query("INSERT INTO message (body) VALUES ($1)", ["x"]);
  await client.query("COMMIT");
});

export const pg_queued = (where) => using(at(where), (client) =>
  times(3, (number) => client.query("SELECT $1::int", [number])));

export const pg_error = (where) => using(at(where), async (client) => {
  await client.query("SELECT 1/0").catch(() => {});
  await client.query("SELECT 1");
});

export const pg_many_rows = (where) => using(at(where), async (client) => {
  await client.query("SELECT n, repeat('x', 100) FROM generate_series(1, $1::int) n", [20000]);
});

export async function pg_pool(where) {
  const pool = new Pool(at(where, { max: 3 }));
  pool.on("error", () => {});
  await times(9, () => pool.query("SELECT 1"));
  pool.end();
}
