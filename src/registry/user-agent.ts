/** How the service names itself to registries. */

/** The version in package.json; a test holds the two together. */
export const USER_AGENT = "drayage/0.1.0";
