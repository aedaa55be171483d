package canonical

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// Object writes a JSON object in canonical form, whose names come in any order. It writes what
// encoding/json writes of a map with the same members, without the reflection and the garbage:
// an access token is made at each exchange. A name that is added twice stands there twice.
//
// It is used up once it is written: members that are added later are not in order.
type Object struct {
	// values are those of all members, one behind the other.
	values  []byte
	members []member
}

type member struct {
	name       string
	begin, end int
}

// NewObject makes an Object with room for so many members, and bytes of their values.
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

// Raw adds a value that is canonical JSON already.
func (o *Object) Raw(name string, value string) error {
	encoded, err := json.Marshal(json.RawMessage(value))
	o.values = append(o.values, encoded...)
	o.ends(name)
	return err
}

// ends is the end of the value that was written last.
func (o *Object) ends(name string) {
	begin := 0
	if len(o.members) > 0 {
		begin = o.members[len(o.members)-1].end
	}
	o.members = append(o.members, member{name: name, begin: begin, end: len(o.values)})
}

// JSON is the object.
func (o *Object) JSON() []byte {
	// The names come on top of the values, and some punctuation.
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

// appendText writes a string as encoding/json does. Most need no escaping.
func appendText(to []byte, text string) []byte {
	for i := range len(text) {
		if !plain(text[i]) {
			// A string cannot fail to be encoded.
			encoded, _ := json.Marshal(text)
			return append(to, encoded...)
		}
	}
	to = append(to, '"')
	to = append(to, text...)
	return append(to, '"')
}

// plain tells whether encoding/json leaves a character as it is; of those that are not ASCII
// it judges itself.
func plain(c byte) bool {
	switch c {
	case '"', '\\', '<', '>', '&':
		return false
	default:
		return ' ' <= c && c <= '~'
	}
}
