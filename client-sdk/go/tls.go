package drover

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"syscall"

	"google.golang.org/grpc/credentials"
)

// transportOf is TLS as config says. A broker that wants a certificate refuses a caller without one only when the
// caller takes the handshake for done, and the caller may find the connection broken before it reads why: then it is
// told what may be missing.
func transportOf(config *tls.Config) credentials.TransportCredentials {
	transport := credentials.NewTLS(config)
	if len(config.Certificates) > 0 || config.GetClientCertificate != nil {
		return transport
	}
	return anonymous{transport}
}

// anonymous shows no certificate.
type anonymous struct {
	credentials.TransportCredentials
}

func (a anonymous) ClientHandshake(
	ctx context.Context, authority string, conn net.Conn,
) (net.Conn, credentials.AuthInfo, error) {
	secured, info, err := a.TransportCredentials.ClientHandshake(ctx, authority, conn)
	if err != nil {
		return nil, nil, err
	}
	return &unheardConn{Conn: secured}, info, nil
}

func (a anonymous) Clone() credentials.TransportCredentials {
	return anonymous{a.TransportCredentials.Clone()}
}

// unheardConn explains how it broke, until the broker has said anything.
type unheardConn struct {
	net.Conn
	heard atomic.Bool
}

func (c *unheardConn) Read(into []byte) (int, error) {
	n, err := c.Conn.Read(into)
	if n > 0 {
		c.heard.Store(true)
	}
	return n, c.explained(err)
}

func (c *unheardConn) Write(from []byte) (int, error) {
	n, err := c.Conn.Write(from)
	return n, c.explained(err)
}

func (c *unheardConn) explained(err error) error {
	broken := errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
	if !broken || c.heard.Load() {
		return err
	}
	return fmt.Errorf("%w: the broker ended the TLS connection; it may want a certificate", err)
}
