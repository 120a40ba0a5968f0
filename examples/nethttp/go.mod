module github.com/drover-dev/drover/examples/nethttp

go 1.26.0

replace (
	github.com/drover-dev/drover/client-sdk/go => ../../client-sdk/go
	github.com/drover-dev/drover/proto/gen/go => ../../proto/gen/go
	github.com/drover-dev/drover/worker-sdk/go => ../../worker-sdk/go
)

require (
	github.com/drover-dev/drover/client-sdk/go v0.0.0-00010101000000-000000000000
	github.com/drover-dev/drover/worker-sdk/go v0.0.0-00010101000000-000000000000
)

require (
	github.com/drover-dev/drover/proto/gen/go v0.0.0-00010101000000-000000000000 // indirect
	github.com/google/uuid v1.6.0 // indirect
	golang.org/x/net v0.60.0 // indirect
	golang.org/x/sys v0.48.0 // indirect
	golang.org/x/text v0.42.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20261026165753-2ffab32bce7e // indirect
	google.golang.org/grpc v1.85.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)
