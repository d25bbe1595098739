// What is used of pg beyond its types: how it turns a parameter into what it sends.

declare module "pg/lib/utils.js" {
  const utils: { prepareValue(value: unknown): string | Buffer | null };
  export default utils;
}
