package main

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"

	slsa "github.com/in-toto/attestation/go/predicates/provenance/v1"
	intoto "github.com/in-toto/attestation/go/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"
)

const (
	statementName = "provenance.json"
	predicateType = "https://slsa.dev/provenance/v1"
	page          = "https://" + repository + "/blob/main/docs/releasing.md"
	// The page says what each of the two is. Neither isolates builds from each other or signs what a build cannot change, so
	// that the level is 1.
	buildType = page + "#provenance"
	builderID = page + "#who-builds-a-release"
)

// provenance writes the statement that says from which commit and how the files and the images were built. It has no time and
// no number of a run, so that it is the same for each build.
func (b *builder) provenance() error {
	files, err := digestsOf(b.out, sumsName)
	if err != nil {
		return err
	}
	for _, image := range images {
		digest, err := imageDigest(b.out, image)
		if err != nil {
			return err
		}
		files[imagePrefix+"/"+image] = strings.TrimPrefix(digest, "sha256:")
	}
	compiler, err := b.goVersion()
	if err != nil {
		return err
	}
	text, err := statement(files, b.version, b.source.commit, compiler)
	if err != nil {
		return err
	}
	return os.WriteFile(b.file(statementName), text, 0o644)
}

// statement returns an in-toto statement about the files, with a SLSA provenance as its predicate, as indented JSON.
func statement(files map[string]string, version, commit, compiler string) ([]byte, error) {
	external, err := structpb.NewStruct(map[string]any{"command": "make release VERSION=" + version, "version": version})
	if err != nil {
		return nil, err
	}
	internal, err := structpb.NewStruct(map[string]any{"claim": "SLSA Build L1", "go": compiler})
	if err != nil {
		return nil, err
	}
	predicate := &slsa.Provenance{
		BuildDefinition: &slsa.BuildDefinition{
			BuildType: buildType, ExternalParameters: external, InternalParameters: internal,
			ResolvedDependencies: []*intoto.ResourceDescriptor{{
				Uri: "git+https://" + repository + "@" + commit, Digest: map[string]string{"gitCommit": commit},
			}},
		},
		RunDetails: &slsa.RunDetails{Builder: &slsa.Builder{Id: builderID}},
	}
	if err := predicate.Validate(); err != nil {
		return nil, err
	}
	raw, err := protojson.Marshal(predicate)
	if err != nil {
		return nil, err
	}
	fields := &structpb.Struct{}
	if err := protojson.Unmarshal(raw, fields); err != nil {
		return nil, err
	}
	whole := &intoto.Statement{Type: intoto.StatementTypeUri, PredicateType: predicateType, Predicate: fields}
	for name, digest := range files {
		whole.Subject = append(whole.Subject, &intoto.ResourceDescriptor{Name: name, Digest: map[string]string{"sha256": digest}})
	}
	slices.SortFunc(whole.Subject, func(x, y *intoto.ResourceDescriptor) int { return strings.Compare(x.Name, y.Name) })
	if err := whole.Validate(); err != nil {
		return nil, err
	}
	return stableJSON(whole)
}

// stableJSON returns a statement as JSON that is the same each time: protojson varies its spaces on purpose.
func stableJSON(whole *intoto.Statement) ([]byte, error) {
	raw, err := protojson.Marshal(whole)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if err := json.Indent(&text, raw, "", "  "); err != nil {
		return nil, err
	}
	text.WriteByte('\n')
	return text.Bytes(), nil
}

// readStatement returns a valid statement with a provenance, or what is wrong with it.
func readStatement(text []byte) (*intoto.Statement, *slsa.Provenance, error) {
	whole := &intoto.Statement{}
	if err := protojson.Unmarshal(text, whole); err != nil {
		return nil, nil, err
	}
	if err := whole.Validate(); err != nil {
		return nil, nil, err
	}
	raw, err := protojson.Marshal(whole.Predicate)
	if err != nil {
		return nil, nil, err
	}
	predicate := &slsa.Provenance{}
	if err := protojson.Unmarshal(raw, predicate); err != nil {
		return nil, nil, err
	}
	return whole, predicate, predicate.Validate()
}
