// A failure of the local cluster that its user can do something about: one line that says what, why and how to fix it.
// Printed as it is, without a stack. The exit codes are those of sysexits.h, the same that a node uses.

export const EXIT = { badConfig: 78, unreachable: 69, portBusy: 76, failed: 1 } as const;

export class StartError extends Error {
  readonly exitCode: number;

  constructor(exitCode: number, message: string) {
    super(message);
    this.name = "StartError";
    this.exitCode = exitCode;
  }
}
