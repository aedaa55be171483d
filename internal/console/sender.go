package console

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"time"

	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/internal/console/wire"
)

// slowest is how long a browser may take for one event. One that takes longer is dropped: it opens the stream again where it was.
const slowest = 30 * time.Second

// sender writes server-sent events.
type sender struct {
	w       http.ResponseWriter
	control *http.ResponseController
	clock   clock.WithTicker
	// id is what the next event resumes from, and sent the id that the browser has.
	id, sent string
}

func newSender(w http.ResponseWriter, clock clock.WithTicker) *sender {
	return &sender{w: w, control: http.NewResponseController(w), clock: clock}
}

// begin sends the header of a stream, which no proxy may keep or change.
func (o *sender) begin() {
	header := o.w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-cache, no-transform")
	header.Set("X-Accel-Buffering", "no")
	o.w.WriteHeader(http.StatusOK)
}

// fromTheStart is the id of a stream that has nothing to resume from. It is no empty id, for which a browser sends no header when it opens
// the stream again: the versions in the query would then hold, which are older than the rows that the page has begun to renew.
const fromTheStart = "none"

// reset tells the page that all rows follow, and the browser and the page that there is nothing to resume from.
func (o *sender) reset() error {
	o.id, o.sent = fromTheStart, ""
	return o.event("reset", struct{}{}, true)
}

// event sends an event, with the id if the browser does not have it.
func (o *sender) event(name string, data any, withID bool) error {
	body, err := json.Marshal(data)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	text.Grow(len(body) + 64)
	if withID {
		o.writeID(&text)
	}
	text.WriteString("event: " + name + "\ndata: ")
	text.Write(body)
	text.WriteString("\n\n")
	return o.write(text.Bytes())
}

// comment keeps the connection open, and gives the browser a newer id.
func (o *sender) comment() error {
	text := bytes.NewBufferString(":\n")
	o.writeID(text)
	text.WriteString("\n")
	return o.write(text.Bytes())
}

func (o *sender) writeID(text *bytes.Buffer) {
	if o.id != o.sent {
		text.WriteString("id: " + o.id + "\n")
		o.sent = o.id
	}
}

// write sends bytes within the time that a browser may take.
func (o *sender) write(text []byte) error {
	// A server of tests may have no deadlines.
	_ = o.control.SetWriteDeadline(o.clock.Now().Add(slowest))
	if _, err := o.w.Write(text); err != nil {
		return err
	}
	return o.control.Flush()
}

// batch gathers the changes of a stream, so that an event has many rows. Their order stays.
type batch struct {
	out *sender
	// timer is when the rows are sent; nil without rows.
	timer clock.Timer
	put   wire.Put
	del   wire.Del
	rows  int
	// unsynced is how many kinds have not told all that exists. Until none is left, the browser has nothing to resume from.
	unsynced int
	// synced is when the last of them had.
	synced   time.Time
	versions map[string]string
}

// followed returns for how long the stream had all that exists.
func (b *batch) followed() time.Duration {
	if b.synced.IsZero() {
		return 0
	}
	return b.out.clock.Since(b.synced)
}

// begin says what follows: all that exists, or the changes since the versions that the browser has.
func (b *batch) begin(versions map[string]string) error {
	if versions == nil {
		return b.out.reset()
	}
	b.unsynced = 0
	maps.Copy(b.versions, versions)
	b.setID()
	return b.out.event("synced", struct{}{}, true)
}

// add takes a change.
func (b *batch) add(c change) error {
	deletes, holdsDeletes := c.gone != "", len(b.del.Keys)+len(b.del.Issuers) > 0
	if c.synced || (b.rows > 0 && deletes != holdsDeletes) {
		// Before the version of the change: a browser that resumed from it would miss the change.
		if err := b.flush(); err != nil {
			return err
		}
	}
	if c.version != "" {
		b.versions[c.kind] = c.version
	}
	if c.synced {
		if b.unsynced--; b.unsynced > 0 {
			return nil
		}
		b.synced = b.out.clock.Now()
		b.setID()
		return b.out.event("synced", struct{}{}, true)
	}
	if !b.take(&c) {
		// A bookmark: the next event or comment has its version.
		return nil
	}
	if b.rows++; b.rows >= mostRows {
		return b.flush()
	}
	if b.timer == nil {
		b.timer = b.out.clock.NewTimer(gather)
	}
	return nil
}

func (b *batch) take(c *change) bool {
	switch {
	case c.key != nil:
		b.put.Keys = append(b.put.Keys, *c.key)
	case c.issuer != nil:
		b.put.Issuers = append(b.put.Issuers, *c.issuer)
	case c.gone != "" && c.kind == "keys":
		b.del.Keys = append(b.del.Keys, c.gone)
	case c.gone != "":
		b.del.Issuers = append(b.del.Issuers, c.gone)
	default:
		return false
	}
	return true
}

func (b *batch) setID() {
	if b.unsynced == 0 {
		b.out.id = idOf(b.versions)
	}
}

// flush sends the rows, with the versions of all changes so far.
func (b *batch) flush() error {
	b.setID()
	if b.timer != nil {
		b.timer.Stop()
		b.timer = nil
	}
	if b.rows == 0 {
		return nil
	}
	var err error
	if len(b.del.Keys)+len(b.del.Issuers) > 0 {
		err = b.out.event("del", b.del, true)
	} else {
		err = b.out.event("put", b.put, true)
	}
	clear(b.put.Keys)
	b.put.Keys, b.put.Issuers, b.del, b.rows = b.put.Keys[:0], nil, wire.Del{}, 0
	return err
}
