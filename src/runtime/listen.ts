// Opening a port, with an answer to the commonest failure.

import type { Server } from "node:http";
import type { AddressInfo } from "node:net";

/** A port that somebody else has. */
export class PortBusy extends Error {
  readonly port: number;

  constructor(port: number, cause: unknown) {
    super(`port ${port} is in use`, { cause });
    this.port = port;
  }
}

/**
 * @param port 0 takes a free one
 * @returns the port that was opened
 * @throws PortBusy when it is in use
 */
export function listen(server: Server, port: number, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException): void => {
      reject(error.code === "EADDRINUSE" ? new PortBusy(port, error) : error);
    };
    server.once("error", failed);
    server.listen({ port, host }, () => {
      server.off("error", failed);
      resolve((server.address() as AddressInfo).port);
    });
  });
}
