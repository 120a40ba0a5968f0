module github.com/drover-dev/drover/test/polyglot/parity/go

go 1.26.0

replace (
	github.com/drover-dev/drover/client-sdk/go => ../../../../client-sdk/go
	github.com/drover-dev/drover/proto/gen/go => ../../../../proto/gen/go
	github.com/drover-dev/drover/worker-sdk/go => ../../../../worker-sdk/go
)

require (
	github.com/drover-dev/drover/client-sdk/go v0.0.0-00010101000000-000000000000
	github.com/drover-dev/drover/worker-sdk/go v0.0.0-00010101000000-000000000000
	go.opentelemetry.io/otel v1.45.0
	go.opentelemetry.io/otel/sdk v1.45.0
	go.opentelemetry.io/otel/trace v1.45.0
	google.golang.org/grpc v1.85.0
)

require (
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/drover-dev/drover/proto/gen/go v0.0.0-00010101000000-000000000000 // indirect
	github.com/go-logr/logr v1.4.4 // indirect
	github.com/go-logr/stdr v1.2.2 // indirect
	github.com/google/uuid v1.6.0 // indirect
	go.opentelemetry.io/auto/sdk v1.2.1 // indirect
	go.opentelemetry.io/otel/metric v1.45.0 // indirect
	golang.org/x/net v0.60.0 // indirect
	golang.org/x/sys v0.48.0 // indirect
	golang.org/x/text v0.42.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20261026165753-2ffab32bce7e // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)
