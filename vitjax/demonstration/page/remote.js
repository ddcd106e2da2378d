// Asks the server; static pages have another file of this name, which computes in the browser.

async function answered(response) {
  const found = await response.json().catch(() => ({ error: `the server says ${response.status}` }));
  if (found.error) throw new Error(found.error);
  return found;
}

export async function about() {
  return answered(await fetch("about.json"));
}

export async function recognize(blob, isDrawing, signal) {
  const options = { method: "POST", body: blob, signal };
  return answered(await fetch(`recognize?drawing=${isDrawing}`, options));
}
