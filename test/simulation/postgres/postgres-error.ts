// What Postgres refuses with, as the driver throws it.

import pg from "pg";

export function postgresError(code: string, message: string): Error {
  const error = new pg.DatabaseError(message, message.length, "error");
  error.code = code;
  return error;
}
