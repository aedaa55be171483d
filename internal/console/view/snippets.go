package view

import (
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/refreshkeys/refreshkeys/internal/console/wire"
)

// mount is where the examples of docs/how-to/clients.md mount the Secret of a key.
const mount = "/var/run/secrets/refreshkey"

// The examples of docs/how-to/clients.md.
const (
	volume = `spec:
  containers:
  - name: client
    volumeMounts:
    - name: token
      mountPath: ` + mount + `
      readOnly: true
  volumes:
  - name: token
    secret: {secretName: SECRET}
`
	withAccessToken = `sed 's/^/Authorization: Bearer /' ` + mount + `/access-token | curl --header @- --url AUDIENCE
`
	withCurl = `cd ` + mount + `
if [ -s ca.crt ]; then set -- --cacert ca.crt; else set --; fi
curl --fail --silent "$@" "$(cat token-endpoint)" \
  -d grant_type=refresh_token --data-urlencode refresh_token@token
`
	withGo = `func read(name string) string {
	content, err := os.ReadFile("` + mount + `/" + name)
	if err != nil {
		panic(err)
	}
	return string(content)
}

ctx := context.Background()
if private, err := os.ReadFile("` + mount + `/ca.crt"); err == nil {
	trust := x509.NewCertPool()
	trust.AppendCertsFromPEM(private)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trust}}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: transport})
}
config := oauth2.Config{Endpoint: oauth2.Endpoint{TokenURL: read("token-endpoint"), AuthStyle: oauth2.AuthStyleInParams}}
source := config.TokenSource(ctx, &oauth2.Token{RefreshToken: read("token")})
client := oauth2.NewClient(ctx, source) // golang.org/x/oauth2; it refreshes by itself
`
	withPython = `import json, pathlib, ssl, urllib.parse, urllib.request

secret = pathlib.Path("` + mount + `")
form = urllib.parse.urlencode({"grant_type": "refresh_token", "refresh_token": (secret / "token").read_text()})
private = secret / "ca.crt"
trust = ssl.create_default_context(cafile=private if private.exists() else None)
with urllib.request.urlopen((secret / "token-endpoint").read_text(), form.encode(), context=trust) as answer:
    print(json.load(answer)["access_token"])
`
	withJavaScript = `// If there is a ca.crt, run it with NODE_EXTRA_CA_CERTS=` + mount + `/ca.crt
import { readFile } from "node:fs/promises";

const read = (name) => readFile("` + mount + `/" + name, "utf8");
const form = new URLSearchParams({ grant_type: "refresh_token", refresh_token: await read("token") });
const answer = await fetch(await read("token-endpoint"), { method: "POST", body: form });
console.log((await answer.json()).access_token);
`
)

// snippets returns how a workload uses the Secret of a key; none for a key without a Secret.
func snippets(secret, audience string, accessToken bool) []wire.Snippet {
	if secret == "" {
		return nil
	}
	all := []wire.Snippet{{Name: "Volume", Text: strings.Replace(volume, "SECRET", scalar(secret), 1)}}
	if accessToken {
		all = append(all, wire.Snippet{Name: "Access token", Text: strings.Replace(withAccessToken, "AUDIENCE", quote(audience), 1)})
	}
	return append(all,
		wire.Snippet{Name: "curl", Text: withCurl}, wire.Snippet{Name: "Go", Text: withGo},
		wire.Snippet{Name: "Python", Text: withPython}, wire.Snippet{Name: "JavaScript", Text: withJavaScript})
}

// scalar returns a name as a text of YAML: in quotes where YAML would read a number, a truth value or a date.
func scalar(name string) string {
	text, err := yaml.Marshal(name)
	if err != nil {
		// A text can always be written.
		return name
	}
	return strings.TrimSpace(string(text))
}

// quote returns a text as one word of a shell: an audience may have any printable character, such as a semicolon.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
