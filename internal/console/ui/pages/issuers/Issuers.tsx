// The list of issuers.
import { namespace } from "../../app/scope";
import { issuers, keys } from "../../app/store";
import { link } from "../../app/router";
import { count } from "../../app/time";
import { Code, Empty } from "../../parts/Box";
import { Chip } from "../../parts/Chip";
import { Page, setup } from "../../parts/Page";
import { t } from "../../text";
import { onKeyDown } from "../keys/Table";

function Content() {
  void issuers.version.value;
  void keys.version.value;
  const c = t.issuers.columns;
  const failure = issuers.failure.value;
  const rows = issuers.all().sort((a, b) => (a.name < b.name ? -1 : 1));
  if (failure) {
    return (
      <div class="card">
        <Empty icon="off" title={failure.reason === "Missing" ? t.keys.missing.title : t.issuers.forbidden}>
          <p>{failure.message}</p>
          {failure.ask && <Code text={failure.ask} what={t.command} />}
        </Empty>
      </div>
    );
  }
  if (!issuers.complete.value) return <p role="status">{t.loading}</p>;
  if (rows.length === 0) {
    return (
      <div class="card">
        <Empty icon="issuer" title={t.issuers.empty}>
          <p>{t.issuers.emptyText}</p>
        </Empty>
      </div>
    );
  }
  const all = keys.all();
  const number = (rows: unknown[]) => (keys.complete.value ? count(rows.length) : t.none);
  return (
    <section class="card table-card" aria-label={t.issuers.title}>
      <table class="table keys-table issuers-table">
        <thead>
          <tr>
            {Object.entries(c).map(([id, name]) => (
              <th key={id} scope="col" class={id}>
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody onKeyDown={onKeyDown}>
          {rows.map((row) => {
            const own = all.filter(({ issuer }) => issuer === row.name);
            return (
              <tr key={row.uid}>
                <td class="name">
                  <a class="cut" data-row href={link(`issuers/${row.name}`)}>
                    {row.name}
                  </a>
                </td>
                <td class="audience" data-label={c.url}>
                  <span class="cut" title={row.url}>
                    {row.url}
                  </span>
                </td>
                <td class="status" data-label={c.status}>
                  <Chip tone={row.tone} word={row.status} tip={row.message} />
                  {row.tone !== "good" && row.message && <small>{row.message}</small>}
                </td>
                <td data-label={c.keys}>
                  {number(own.filter(({ session }) => !session))}
                  {namespace.value && <small>{namespace.value}</small>}
                </td>
                <td data-label={c.sessions}>{row.sessionNamespace ? number(own.filter(({ session }) => session)) : <span class="quiet">{t.none}</span>}</td>
                <td data-label={c.algorithm}>{row.algorithm}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </section>
  );
}

export function Issuers() {
  return (
    <Page title={t.issuers.title} crumbs={setup({ text: t.issuers.title })} lead={<p class="lead">{t.issuers.lead}</p>}>
      <Content />
    </Page>
  );
}
