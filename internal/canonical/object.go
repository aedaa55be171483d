package canonical

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// Object writes a JSON object in canonical form; members can be added in any order. The result equals
// encoding/json's for a map with the same members, without reflection and with few allocations,
// because each exchange signs an access token. A name that is added twice occurs twice.
//
// Add no members after JSON: they would not be in order.
type Object struct {
	// values are the concatenated values of all members.
	values  []byte
	members []member
}

type member struct {
	name       string
	begin, end int
}

// NewObject returns an Object with capacity for a number of members, and of bytes of their values.
func NewObject(members, length int) *Object {
	return &Object{members: make([]member, 0, members), values: make([]byte, 0, length)}
}

// Text adds a string.
func (o *Object) Text(name, value string) {
	o.values = appendText(o.values, value)
	o.ends(name)
}

// Number adds a whole number.
func (o *Object) Number(name string, value int64) {
	o.values = strconv.AppendInt(o.values, value, 10)
	o.ends(name)
}

// Object adds another object.
func (o *Object) Object(name string, value *Object) {
	o.values = value.appendTo(o.values)
	o.ends(name)
}

// Raw adds a value in canonical JSON.
func (o *Object) Raw(name string, value string) error {
	encoded, err := json.Marshal(json.RawMessage(value))
	o.values = append(o.values, encoded...)
	o.ends(name)
	return err
}

// ends records the end of the value that was written last.
func (o *Object) ends(name string) {
	begin := 0
	if len(o.members) > 0 {
		begin = o.members[len(o.members)-1].end
	}
	o.members = append(o.members, member{name: name, begin: begin, end: len(o.values)})
}

// JSON returns the object.
func (o *Object) JSON() []byte {
	// The size of the names and the punctuation, in addition to the values.
	const nameLength = 16
	return o.appendTo(make([]byte, 0, len(o.values)+len(o.members)*nameLength))
}

func (o *Object) appendTo(to []byte) []byte {
	slices.SortFunc(o.members, func(a, b member) int { return strings.Compare(a.name, b.name) })
	to = append(to, '{')
	for i, m := range o.members {
		if i > 0 {
			to = append(to, ',')
		}
		to = append(appendText(to, m.name), ':')
		to = append(to, o.values[m.begin:m.end]...)
	}
	return append(to, '}')
}

// appendText appends a string as encoding/json does. Most need no escaping.
func appendText(to []byte, text string) []byte {
	for i := range len(text) {
		if !plain(text[i]) {
			// Encoding a string cannot fail.
			encoded, _ := json.Marshal(text)
			return append(to, encoded...)
		}
	}
	to = append(to, '"')
	to = append(to, text...)
	return append(to, '"')
}

// plain reports whether encoding/json leaves a character unchanged; false for all non-ASCII
// characters, which encoding/json encodes.
func plain(c byte) bool {
	switch c {
	case '"', '\\', '<', '>', '&':
		return false
	default:
		return ' ' <= c && c <= '~'
	}
}
