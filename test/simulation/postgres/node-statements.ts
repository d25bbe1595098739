// The statements of queries/ that are about nodes, as the model runs them. Compared with Postgres in
// test/contract/sim-postgres.test.ts.

import { postgresError } from "./postgres-error.ts";
import { isUp, nextView, updateNode, updateRoom, type Statement } from "./statement.ts";

export const registerNode: Statement = async (context, values) => {
  const [
    incarnation,
    nodeId,
    processId,
    host,
    pid,
    publicPort,
    internalPort,
    managementPort,
    leaseMs,
    roles,
  ] = values;
  const { tx, now } = context;
  await tx.lock("node", String(incarnation));
  if (tx.tables.nodes.has(String(incarnation))) throw postgresError("23505", "duplicate key: node");
  tx.putNode({
    incarnation: String(incarnation),
    node_id: String(nodeId),
    process_id: String(processId),
    host: String(host),
    pid: Number(pid),
    public_port: Number(publicPort),
    internal_port: Number(internalPort),
    management_port: Number(managementPort),
    state: "up",
    roles: roles as string[],
    lease_until: now() + Number(leaseMs),
    renewed_at: now(),
    started_at: now(),
    down_at: null,
    down_reason: null,
  });
  tx.notifications.push("node:entered");
  return [{ view_version: nextView(context) }];
};

export const renewLease: Statement = async (context, [incarnation, leaseMs]) => {
  const { now, seen, viewVersion } = context;
  const renewal = await updateNode(context, String(incarnation), isUp, () => ({
    lease_until: now() + Number(leaseMs),
    renewed_at: now(),
  }));
  // The others, and this one too, as they were before.
  return [...seen.nodes.values()]
    .filter(isUp)
    .sort((a, b) => compare(a.node_id, b.node_id) || a.started_at - b.started_at)
    .map((node) => ({
      incarnation: node.incarnation,
      node_id: node.node_id,
      process_id: node.process_id,
      host: node.host,
      public_port: node.public_port,
      internal_port: node.internal_port,
      management_port: node.management_port,
      roles: node.roles,
      state: node.state,
      lease_left_ms: node.lease_until - now(),
      silent_ms: now() - node.renewed_at,
      clock_ms: now(),
      renewed: renewal !== undefined,
      view_version: viewVersion.value,
    }));
};

export const markDown: Statement = async (
  context,
  [incarnation, reason, judgedBy, onlyIfLapsed, notAfter],
) => {
  const { now, seen, tx } = context;
  const marked = await updateNode(
    context,
    String(incarnation),
    (row) => {
      const judge = seen.nodes.get(String(judgedBy));
      if (!isUp(row) || !isUp(judge) || judge.lease_until <= now()) return false;
      const isOver = row.lease_until < now() || row.renewed_at > now() + 1_000;
      if (onlyIfLapsed === true && !isOver) return false;
      if (notAfter === null || notAfter === undefined) return true;
      return now() >= Number(notAfter) - 60_000 && now() <= Number(notAfter);
    },
    () => ({ state: "down", down_at: now(), down_reason: String(reason) }),
  );
  if (marked === undefined) return [];
  tx.notifications.push("node:down");
  const rooms = [...seen.rooms.values()].filter(
    (room) => room.owner === marked.incarnation && room.disposed_at === null,
  );
  return [
    {
      node_id: marked.node_id,
      silent_ms: now() - marked.renewed_at,
      rooms: rooms.length,
      view_version: nextView(context),
    },
  ];
};

export const setDraining: Statement = async (context, [incarnation]) => {
  const leaving = await updateNode(
    context,
    String(incarnation),
    ({ state }) => state === "up",
    () => ({ state: "draining" }),
  );
  if (leaving === undefined) return [];
  context.tx.notifications.push("node:draining");
  return [{ view_version: nextView(context) }];
};

export const leave: Statement = async (context, [incarnation]) => {
  const { now, seen, tx } = context;
  const gone = await updateNode(context, String(incarnation), isUp, () => ({
    state: "down",
    down_at: now(),
    down_reason: "left",
  }));
  if (gone === undefined) return [];
  for (const roomId of [...seen.rooms.keys()].sort(compare)) {
    await updateRoom(
      context,
      roomId,
      (row) => row.owner === gone.incarnation && row.disposed_at === null,
      () => ({ owner: null }),
    );
  }
  tx.notifications.push("node:left");
  return [{ view_version: nextView(context) }];
};

export function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
