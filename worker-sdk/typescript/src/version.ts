/** The version of this package, as brokers are told it. */
export const VERSION = "0.1.0";
