// The examples of README.md, with a key's names.
import { quote } from "../../app/commands";
import { t } from "../../text";

export interface Snippet {
  name: string;
  text: string;
}

const folder = "/var/run/secrets/refreshkey";

const volume = (secret: string) => `spec:
  containers:
  - name: client
    volumeMounts:
    - {name: token, mountPath: ${folder}, readOnly: true}
  volumes:
  - name: token
    secret: {secretName: ${secret}}
`;

const curl = `cd ${folder}
curl --fail --silent --cacert ca.crt "$(cat token-endpoint)" \\
  -d grant_type=refresh_token --data-urlencode refresh_token@token
`;

const access = (audience: string) => `curl -H "Authorization: Bearer $(cat ${folder}/access-token)" --url ${quote(audience)}
`;

const go = `func read(name string) string {
	content, err := os.ReadFile("${folder}/" + name)
	if err != nil {
		panic(err)
	}
	return string(content)
}

trust := x509.NewCertPool()
trust.AppendCertsFromPEM([]byte(read("ca.crt")))
transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trust}}
ctx := context.WithValue(context.Background(), oauth2.HTTPClient, &http.Client{Transport: transport})

config := oauth2.Config{Endpoint: oauth2.Endpoint{TokenURL: read("token-endpoint"), AuthStyle: oauth2.AuthStyleInParams}}
source := config.TokenSource(ctx, &oauth2.Token{RefreshToken: read("token")})
client := oauth2.NewClient(ctx, source) // golang.org/x/oauth2; it refreshes by itself
`;

const python = `import json, pathlib, ssl, urllib.parse, urllib.request

secret = pathlib.Path("${folder}")
form = urllib.parse.urlencode({"grant_type": "refresh_token", "refresh_token": (secret / "token").read_text()})
trust = ssl.create_default_context(cafile=secret / "ca.crt")
with urllib.request.urlopen((secret / "token-endpoint").read_text(), form.encode(), context=trust) as answer:
    print(json.load(answer)["access_token"])
`;

const javascript = `// NODE_EXTRA_CA_CERTS=${folder}/ca.crt
import { readFile } from "node:fs/promises";

const read = (name) => readFile("${folder}/" + name, "utf8");
const form = new URLSearchParams({ grant_type: "refresh_token", refresh_token: await read("token") });
const answer = await fetch(await read("token-endpoint"), { method: "POST", body: form });
console.log((await answer.json()).access_token);
`;

export function snippets(secret: string, audience: string, accessToken: boolean): Snippet[] {
  const list = [
    { name: t.key.snippets.volume, text: volume(secret) },
    { name: "curl", text: curl },
    { name: "Go", text: go },
    { name: "Python", text: python },
    { name: "JavaScript", text: javascript },
  ];
  if (accessToken) list.splice(1, 0, { name: t.key.snippets.access, text: access(audience) });
  return list;
}
