import net from "node:net";
import { expect, test } from "vitest";
import { LinkProxy } from "../chaos/link-proxy.ts";
import { freePort } from "../kit/real-redis.ts";
import { until } from "../kit/until.ts";

const HOST = "127.0.1.77";
const isLinux = process.platform === "linux"; // elsewhere only 127.0.0.1 is there

async function echoServer(): Promise<{ port: number; close: () => void }> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.pipe(socket);
  });
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  const close = (): void => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return { port, close };
}

function speak(
  port: number,
  from = "127.0.0.1",
): { socket: net.Socket; heard: () => string; hasEnded: () => boolean } {
  const socket = net.connect({ port, host: HOST, localAddress: from });
  let [text, hasEnded] = ["", false];
  socket.on("data", (bytes: Buffer) => (text += bytes.toString()));
  socket.on("error", () => {});
  socket.on("close", () => (hasEnded = true));
  return { socket, heard: () => text, hasEnded: () => hasEnded };
}

test.runIf(isLinux)(
  "a link is passed on, held, passed on in order, cut, and refused when the node is gone",
  async () => {
    const server = await echoServer();
    const proxy = new LinkProxy(HOST);
    await proxy.open(server.port);
    try {
      const one = speak(server.port);
      one.socket.write("a");
      await until("it is passed on", () => one.heard() === "a");

      const hold = proxy.hold();
      one.socket.write("b");
      one.socket.write("c");
      await until("it is held", () => hold.held > 0);
      expect(one.heard()).toBe("a");
      hold.resume();
      await until("what was held comes in order", () => one.heard() === "abc");

      proxy.cut();
      await until("it is cut", () => one.hasEnded());
      expect(proxy.cuts).toBe(1);
      const other = speak(server.port);
      other.socket.write("d");
      await until("a new one is let in", () => other.heard() === "d");

      await proxy.close();
      await until("it ends with the node", () => other.hasEnded());
      const late = speak(server.port);
      await until("it is refused", () => late.hasEnded());
      expect(late.heard()).toBe("");
    } finally {
      await proxy.close();
      server.close();
    }
  },
);

test.runIf(isLinux)(
  "one direction of one caller's link is held, and what several hold until all let go",
  async () => {
    const server = await echoServer();
    const proxy = new LinkProxy(HOST);
    await proxy.open(server.port);
    try {
      const [one, other] = [speak(server.port, "127.0.2.77"), speak(server.port, "127.0.2.78")];
      for (const { socket } of [one, other]) socket.write("a");
      await until("both are passed on", () => one.heard() === "a" && other.heard() === "a");

      const says = proxy.hold({ ways: ["says"], caller: "127.0.2.77" });
      for (const { socket } of [one, other]) socket.write("b");
      await until("only one is held", () => says.held === 1 && other.heard() === "ab");
      expect(one.heard()).toBe("a");

      const all = proxy.hold({ caller: "127.0.2.77" });
      says.resume();
      one.socket.write("c");
      await until("the other hold keeps it", () => all.held === 1);
      expect(one.heard()).toBe("a");
      all.resume();
      await until("all of it comes in order", () => one.heard() === "abc");

      const hears = proxy.hold({ ways: ["hears"], caller: "127.0.2.79" });
      const both = proxy.hold({ caller: "127.0.2.79" });
      const third = speak(server.port, "127.0.2.79");
      third.socket.write("a");
      await until("the connection is held, and what it says", () => hears.held === 2);
      expect(both.held, "each of two that keep the same counts it").toBe(2);
      expect(await proxy.knock({ from: "127.0.2.79" })).toBe(true);
      await until("a knock is held, and counted apart", () => hears.knocks === 2 && both.knocks === 2);
      expect([hears.held, both.held]).toEqual([2, 2]);
      proxy.cut("127.0.2.78");
      await until("one caller is cut", () => other.hasEnded());
      expect(one.hasEnded()).toBe(false);
      expect(proxy.cuts).toBe(1);

      expect(await proxy.knock({ from: "127.0.2.80", isWhole: false })).toBe(true);
      await until("the knock is there", () => proxy.isCalledBy("127.0.2.80"));
      proxy.cut("127.0.2.80");
      expect([proxy.cuts, proxy.cutKnocks], "a knock that is cut is no connection").toEqual([1, 1]);
      await proxy.close();
      expect(await proxy.knock(), "nobody can knock where the node is gone").toBe(false);
    } finally {
      await proxy.close();
      server.close();
    }
  },
);
