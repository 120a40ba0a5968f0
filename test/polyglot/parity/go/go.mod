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
	google.golang.org/grpc v1.85.0
)
