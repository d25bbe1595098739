// A game with what stands behind a front door: a room that knows where its players come from, routes of its own in Express
// and in Colyseus's router, and panels made as Colyseus's own are, mounted where they can be mounted.

import {
  type AuthContext,
  type Client,
  createEndpoint,
  createRouter,
  defineRoom,
  dualModeEndpoints,
  matchMaker,
  Room,
} from "@colyseus/core";
import express from "express";
import { defineCluster } from "../../src/index.ts";

class DoorRoom extends Room {
  override maxClients = 50;
  override messages = {};

  static override async onAuth(_token: string, _options: unknown, context: AuthContext): Promise<unknown> {
    return {
      ip: context.ip,
      cookie: context.headers.get("cookie"),
      proto: context.headers.get("x-forwarded-proto"),
    };
  }

  override onJoin(client: Client): void {
    client.send("auth", client.auth);
  }
}

const panel = (prefix: string) =>
  dualModeEndpoints(
    { rooms: createEndpoint(`${prefix}/rooms`, { method: "GET" }, async () => ({ panel: "open" })) },
    { prefix },
  );
const management = express();
management.use("/monitor", panel(""));

export default defineCluster({
  rooms: { door: defineRoom(DoorRoom) },
  routes: createRouter({
    echo: createEndpoint("/router-echo", { method: "POST" }, async (context) => ({
      bytes: JSON.stringify(context.body).length,
    })),
  }),
  express: (app) => {
    app.use("/monitor", panel(""));
    app.use("/hidden/ops", panel(""));
    app.use(panel("/everywhere"));
    app.post("/echo", express.text({ limit: "50mb", type: () => true }), (request, response) => {
      response.json({ bytes: (request.body as string).length });
    });
    app.post("/make-room", (_request, response) => {
      matchMaker.createRoom("door", {}).then(
        () => response.json({}),
        (error: unknown) => response.status(500).json({ error: String(error) }),
      );
    });
    app.get("/whoami", (request, response) => {
      response.json({ ip: request.headers["x-real-ip"], cookie: request.headers.cookie ?? null });
    });
  },
  management,
});
