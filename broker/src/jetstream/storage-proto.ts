// The stored messages under one name, so that `storage.Job` and core's Job are told apart where both are used.
export * as storage from "@drover/proto/storage";
