package canonical

import (
	"encoding/json"
	"testing"
)

// TestObject compares Object with encoding/json's output for a map.
func TestObject(t *testing.T) {
	for _, text := range []string{
		"", "plain", `"`, `\`, "<a href='x'>&amp;", "\x00\x1f\t\n", "\x7f", "größer", "\u2028\u2029", "日本", "\xff\xfe", "😀", "a/b:c",
	} {
		inner := &Object{}
		inner.Text(text, text)
		inner.Number("number", -1<<63)
		o := &Object{}
		o.Text("z", text)
		o.Object("inner", inner)
		o.Number("a", 1<<62)
		if err := o.Raw("raw", `["x",1.5,{"b":null}]`); err != nil {
			t.Fatal(err)
		}
		o.Text("name "+text, "")
		want, err := json.Marshal(map[string]any{
			"z": text, "inner": map[string]any{text: text, "number": int64(-1 << 63)}, "a": int64(1 << 62),
			"raw": json.RawMessage(`["x",1.5,{"b":null}]`), "name " + text: "",
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := string(o.JSON()); got != string(want) {
			t.Errorf("%q gives\n%s, and encoding/json gives\n%s", text, got, want)
		}
	}
	if got := string((&Object{}).JSON()); got != "{}" {
		t.Errorf("an empty one is %s", got)
	}
	if err := (&Object{}).Raw("broken", `{"a":`); err == nil {
		t.Error("broken JSON was taken")
	}
}
