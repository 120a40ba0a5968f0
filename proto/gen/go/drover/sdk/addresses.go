// Package sdk is what both Go SDKs do with the contract: not for use by others, and without promises to them.
package sdk

import (
	"net"
	"os"
	"strings"
)

const defaultPort = "50051"

// Addresses are brokers as gRPC takes them: those that are given, else those of DROVER_ADDRESS, separated by commas, else
// one on this machine. A host without a port gets the broker's usual one.
func Addresses(given []string) []string {
	for _, from := range [][]string{given, strings.Split(os.Getenv("DROVER_ADDRESS"), ",")} {
		var addresses []string
		for _, address := range from {
			if address = strings.TrimSpace(address); address != "" {
				addresses = append(addresses, withPort(address))
			}
		}
		if len(addresses) > 0 {
			return addresses
		}
	}
	return []string{"127.0.0.1:" + defaultPort}
}

// withPort leaves alone what gRPC knows by a scheme, and what is no address: dialling says so.
func withPort(address string) string {
	if strings.Contains(address, "/") || strings.HasPrefix(address, "unix:") {
		return address
	}
	if net.ParseIP(address) != nil {
		return net.JoinHostPort(address, defaultPort)
	}
	if strings.HasPrefix(address, "[") && strings.HasSuffix(address, "]") || !strings.Contains(address, ":") {
		return address + ":" + defaultPort
	}
	return address
}
