// Where Redis is, as REDIS_URL says it: one server, a primary that Sentinels name, or a Redis Cluster.
//
//   redis://[user:password@]host[:port][/db]                                          rediss:// with TLS
//   redis+sentinel://[user:password@]host[:port][,host[:port]…]/primary-name[/db][?sentinel-password=…]
//   redis+cluster://[user:password@]host[:port][,host[:port]…]
//
// User and password are those of the data servers; characters that mean something in a URL are percent-encoded.

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

interface Access {
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly isEncrypted: boolean;
  readonly endpoints: readonly [Endpoint, ...Endpoint[]];
}

export type RedisAddress =
  | ({ readonly kind: "single"; readonly db: number } & Access)
  | ({
      readonly kind: "sentinel";
      readonly primary: string;
      readonly db: number;
      readonly sentinelPassword: string | undefined;
    } & Access)
  | ({ readonly kind: "cluster" } & Access);

/** What is wrong with an address, and what to write instead. Never repeats the address: it may hold a password. */
export class BadAddress extends Error {}

const SHAPE =
  /^(?<scheme>rediss?)(?:\+(?<kind>sentinel|cluster))?:\/\/(?:(?<user>[^:@/]*)(?::(?<password>[^@/]*))?@)?(?<hosts>[^@/?#]*)(?<path>\/[^?#]*)?(?:\?(?<query>[^#]*))?$/u;
const HOST = /^(?:\[(?<six>[0-9A-Fa-f:.]+)\]|(?<name>[A-Za-z0-9._-]+))(?::(?<port>\d{1,5}))?$/u;
const FORMS =
  "redis://host:6379, rediss:// for TLS, redis+sentinel://host:26379,host:26379/primary-name, or redis+cluster://host:6379,host:6379";

/** @throws BadAddress */
export function parseRedisUrl(text: string): RedisAddress {
  const found = SHAPE.exec(text)?.groups;
  if (found === undefined) {
    throw new BadAddress(
      `cannot be read: it must begin with redis:// or rediss://, and look like ${FORMS}; write @ : / in a password as %40 %3A %2F`,
    );
  }
  const kind = found["kind"] ?? "single";
  const defaultPort = kind === "sentinel" ? 26_379 : 6_379;
  const [first = parseHost("", defaultPort), ...others] = (found["hosts"] ?? "")
    .split(",")
    .map((host) => parseHost(host, defaultPort));
  const access: Access = {
    username: decode(found["user"]),
    password: decode(found["password"]),
    isEncrypted: found["scheme"] === "rediss",
    endpoints: [first, ...others],
  };
  const path = (found["path"] ?? "").split("/").slice(1);
  if (path.at(-1) === "") path.pop();
  const query = new URLSearchParams(found["query"]);

  switch (kind) {
    case "sentinel": {
      const [primary, db, ...more] = path;
      if (primary === undefined || primary === "" || more.length > 0) {
        throw new BadAddress(
          "names no primary: after the Sentinels' addresses comes the name they know it by, as in redis+sentinel://host:26379/mymaster",
        );
      }
      const sentinelPassword = query.get("sentinel-password") ?? undefined;
      // It is checked to be text that can be decoded, as the password is.
      return { kind, primary: decode(primary) ?? "", db: parseDb(db), sentinelPassword, ...access };
    }
    case "cluster":
      if (path.length > 0)
        throw new BadAddress("names a database: a Redis Cluster has only one; take it out");
      return { kind, ...access };
    default:
      if (others.length > 0) {
        throw new BadAddress(
          "names several servers: say redis+sentinel:// if they are Sentinels, redis+cluster:// if they are a Redis Cluster",
        );
      }
      if (path.length > 1) throw new BadAddress("has more than a database number after the host");
      return { kind: "single", db: parseDb(path[0]), ...access };
  }
}

/** The servers that are asked first, for messages. */
export function describeAddress({ endpoints, kind }: RedisAddress): string {
  const servers = endpoints.map(({ host, port }) => `${host}:${port}`).join(", ");
  return kind === "sentinel"
    ? `${servers} (Sentinel)`
    : kind === "cluster"
      ? `${servers} (Redis Cluster)`
      : servers;
}

function parseHost(text: string, defaultPort: number): Endpoint {
  const found = HOST.exec(text)?.groups;
  const host = found?.["six"] ?? found?.["name"];
  const port = Number(found?.["port"] ?? defaultPort);
  if (host === undefined || port < 1 || port > 65_535) {
    throw new BadAddress(`has a host that cannot be read; it must look like ${FORMS}`);
  }
  return { host, port };
}

function parseDb(text: string | undefined): number {
  if (text === undefined) return 0;
  if (!/^\d{1,4}$/u.test(text)) throw new BadAddress("has a database that is not a number");
  return Number(text);
}

function decode(text: string | undefined): string | undefined {
  if (text === undefined || text === "") return undefined;
  try {
    return decodeURIComponent(text);
  } catch {
    throw new BadAddress("has a % that is not followed by two hex digits; write % as %25");
  }
}
