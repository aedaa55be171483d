// Package envoy checks the configuration that docs/how-to/envoy.md shows, with the types that Envoy publishes. It is a module of its own,
// since nothing else needs them.
package envoy

import (
	"os"
	"regexp"
	"testing"

	injector "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/credential_injector/v3"
	authn "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	generic "github.com/envoyproxy/go-control-plane/envoy/extensions/http/injected_credentials/generic/v3"
	tls "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"sigs.k8s.io/yaml"
)

// validated is what the types of Envoy generate.
type validated interface {
	proto.Message
	ValidateAll() error
}

// TestThePageIsConfiguration decodes each block of the page strictly, and checks its values by the rules of Envoy's API.
func TestThePageIsConfiguration(t *testing.T) {
	blocks := blocksOf(t)
	filter := object(t, blocks["filter.yaml"])
	read[*injector.CredentialInjector](t, filter["typed_config"], &injector.CredentialInjector{})
	credential := filter["typed_config"].(map[string]any)["credential"].(map[string]any)["typed_config"]
	header := read(t, credential, &generic.Generic{})
	if header.GetHeaderValuePrefix() != "Bearer " || header.GetHeader() != "Authorization" {
		t.Errorf("the filter sends %s: %s…", header.GetHeader(), header.GetHeaderValuePrefix())
	}
	secrets := object(t, blocks["sds.yaml"])["resources"].([]any)
	secret := read(t, secrets[0], &tls.Secret{})
	if name := header.GetCredential().GetName(); secret.GetName() != name {
		t.Errorf("the filter asks for the secret %s, and the file has %s", name, secret.GetName())
	}
	verify := object(t, blocks["verify.yaml"])
	read(t, verify["typed_config"], &authn.JwtAuthentication{})
}

// read returns a typed configuration as its message.
func read[M validated](t *testing.T, value any, message M) M {
	t.Helper()
	content, err := yaml.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	if content, err = yaml.YAMLToJSON(content); err != nil {
		t.Fatal(err)
	}
	var typed anypb.Any
	if err := protojson.Unmarshal(content, &typed); err != nil {
		t.Fatalf("%s: %v", content, err)
	}
	if err := typed.UnmarshalTo(message); err != nil {
		t.Fatal(err)
	}
	if err := message.ValidateAll(); err != nil {
		t.Error(err)
	}
	return message
}

func object(t *testing.T, text string) map[string]any {
	t.Helper()
	var object map[string]any
	if err := yaml.UnmarshalStrict([]byte(text), &object); err != nil || len(object) == 0 {
		t.Fatalf("%q: %v", text, err)
	}
	return object
}

// blocksOf returns the blocks of the page that have names.
func blocksOf(t *testing.T) map[string]string {
	t.Helper()
	page, err := os.ReadFile("../../../docs/how-to/envoy.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := map[string]string{}
	for _, block := range regexp.MustCompile("(?s)<!-- file: (\\S+) -->\n```yaml\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		blocks[block[1]] = block[2]
	}
	return blocks
}
