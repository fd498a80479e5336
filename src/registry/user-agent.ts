/** How the service names itself to registries. */

/** The version in package.json; a test holds the two together. */
export const VERSION = "0.1.0";

export const USER_AGENT = `drayage/${VERSION}`;
