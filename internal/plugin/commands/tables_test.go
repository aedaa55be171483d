package commands

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
	"github.com/refreshkeys/refreshkeys/internal/token"
	"github.com/refreshkeys/refreshkeys/internal/version"
)

var update = flag.Bool("update", false, "write the golden files of testdata")

// row is a run of the plugin. Its output is in the golden file of its table, under its name.
type row struct {
	name string
	// with changes the harness before the run.
	with func(*harness)
	// args are the arguments, separated by spaces. $TOKENS is the URL of the token service, $DIR the directory of the files,
	// and %20 a space.
	args string
	code int
	// after checks the harness after the run.
	after func(*testing.T, *harness)
}

// harness is what a run of the plugin can read and change.
type harness struct {
	dir     string
	tokens  *fakeTokens
	cluster *fakeCluster
	objects []client.Object
	// key, secret and issuer are among the objects.
	key    *v1alpha1.JWTRefreshKey
	secret *corev1.Secret
	issuer *v1alpha1.JWTIssuer
	// prepare changes the cluster once it serves the objects.
	prepare func(*fakeCluster)
	env     map[string]string
	stdin   string
}

// newHarness returns a harness with the key shop/orders, its Secret and its issuer.
func newHarness(t *testing.T) *harness {
	t.Helper()
	w := &harness{dir: t.TempDir(), tokens: newFakeTokens(t), key: issued(), env: map[string]string{}}
	w.issuer = w.tokens.issuer()
	w.key.Status.KeyID, w.key.Status.SecretName = "refresh", "orders"
	w.secret = &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "orders", Labels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}},
		Type:       corev1.SecretTypeOpaque, Data: map[string][]byte{v1alpha1.SecretCA: certificateOf(w.tokens.Server)},
	}
	w.hold(w.tokens.refresh(2))
	w.objects = []client.Object{
		w.key, w.secret, w.issuer, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "till"}},
	}
	w.write("ca.crt", string(certificateOf(w.tokens.Server)))
	return w
}

// hold puts a token into the Secret and on record.
func (w *harness) hold(compact string) {
	w.secret.Data[v1alpha1.SecretToken] = []byte(compact)
	w.key.Status.TokenHash = token.Hash(compact)
}

// write writes a file, whose path $DIR/name is in an argument.
func (w *harness) write(name, content string) {
	file := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		panic(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		panic(err)
	}
}

// read returns the content of a file; empty if there is none.
func (w *harness) read(name string) string {
	raw, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil {
		return ""
	}
	return string(raw)
}

var tokenText = regexp.MustCompile(`eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*`)

// build is the build that the tables run.
var build = version.Info{Version: "v0.2.0", Revision: "1f0e3dad99908345f7439f8ffabdffc4", GoVersion: "go1.26.0", Platform: "linux/amd64"}

// run runs the plugin in the harness, and returns a transcript without what differs from run to run.
func (w *harness) run(t *testing.T, args string) (transcript string, code int) {
	t.Helper()
	w.cluster = newFakeCluster(t, w.objects)
	if w.prepare != nil {
		w.prepare(w.cluster)
	}
	w.write("kubeconfig", string(w.cluster.kubeconfig()))
	expand := strings.NewReplacer("$TOKENS", w.tokens.URL, "$DIR", w.dir, "%20", " ")
	words := strings.Fields(args)
	for i := range words {
		words[i] = expand.Replace(words[i])
	}
	var stdout, stderr bytes.Buffer
	// After __complete, whose last word is completed.
	words = slices.Insert(words, min(len(words), 1), "--kubeconfig", filepath.Join(w.dir, "kubeconfig"))
	code = Main(context.Background(), words, cli.Options{
		IOStreams: genericiooptions.IOStreams{In: strings.NewReader(expand.Replace(w.stdin)), Out: &stdout, ErrOut: &stderr},
		Clock:     clocktesting.NewFakeClock(noon), Build: build,
		Getenv: func(name string) string {
			if value, set := w.env[name]; set {
				return value
			}
			return map[string]string{"HOME": w.dir}[name]
		},
	})
	hide := strings.NewReplacer(w.tokens.URL, "https://tokens.test", w.cluster.URL, "https://kube.test", w.dir, "$DIR")
	transcript = fmt.Sprintf("$ kubectl refreshkey %s\n%s", args, stdout.String())
	if stderr.Len() > 0 {
		transcript += "stderr:\n" + stderr.String()
	}
	transcript = tokenText.ReplaceAllString(hide.Replace(transcript), "<token>")
	if !strings.HasSuffix(transcript, "\n") {
		transcript += "(no newline)\n"
	}
	return transcript + fmt.Sprintf("exit code %d\n", code), code
}

// play runs each row in a harness of its own, and compares the transcripts with testdata/<table>.txtar, which
// `go test -update` writes.
func play(t *testing.T, table string, rows []row) {
	t.Helper()
	file := filepath.Join("testdata", table+".txtar")
	want := map[string]string{}
	if golden, err := txtar.ParseFile(file); err == nil {
		for _, section := range golden.Files {
			want[section.Name] = string(section.Data)
		}
	}
	got := &txtar.Archive{Comment: []byte("The output of the runs in " + table + "_test.go. `go test -update` writes it.\n")}
	for _, one := range rows {
		got.Files = append(got.Files, txtar.File{Name: one.name})
	}
	t.Run("rows", func(t *testing.T) {
		for i, one := range rows {
			t.Run(one.name, func(t *testing.T) {
				t.Parallel()
				w := newHarness(t)
				if one.with != nil {
					one.with(w)
				}
				transcript, code := w.run(t, one.args)
				got.Files[i].Data = []byte(transcript)
				if code != one.code {
					t.Errorf("exit code %d, want %d:\n%s", code, one.code, transcript)
				}
				if one.after != nil {
					one.after(t, w)
				}
				if diff := cmp.Diff(want[one.name], transcript); diff != "" && !*update {
					t.Errorf("the output differs from %s:\n%s", file, diff)
				}
			})
		}
	})
	if *update {
		if err := os.WriteFile(file, txtar.Format(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if len(want) != len(rows) {
		t.Errorf("%s has %d sections, and the table has %d rows", file, len(want), len(rows))
	}
}
