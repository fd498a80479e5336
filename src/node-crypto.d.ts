/**
 * The part of Node's crypto module that the Worker uses; workerd has it built in. Declared here because Node's own types
 * would replace the Worker's globals. Programs that have Node's types never see this file.
 */
declare module "node:crypto" {
  interface Hash {
    update(data: Uint8Array): Hash;
    digest(encoding: "hex"): string;
    copy(): Hash;
  }
  export function createHash(algorithm: "sha256" | "sha512"): Hash;
}
