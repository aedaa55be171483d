// Package consoleserver shows what the server of the console answers, against a real API server and with the rights of real
// people: the routes of keys and issuers, the stream, and what it refuses.
package consoleserver

import (
	"os"
	"testing"

	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
)

var server *apiserver.Server

func TestMain(m *testing.M) { os.Exit(apiserver.Main(m, &server)) }
