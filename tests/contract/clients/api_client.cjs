// @neondatabase/api-client, unchanged: a branch's life. Prints what it saw as JSON; a throw is exit 1.
const { createApiClient } = require(`${process.env.MODULES}/@neondatabase/api-client`);

// This client does not repeat what Neon calls safe to repeat (423): a busy machine may lock for a while.
async function patiently(call) {
  const deadline = Date.now() + 60000;
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (error.response?.status !== 423 || Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
}

async function main() {
  const api = createApiClient({ apiKey: process.env.NEON_API_KEY, baseURL: process.env.NEON_API_HOST });
  const seen = {};
  seen.login = (await api.getCurrentUserInfo()).data.login;
  const made = (await api.createProject({ project: { name: "node" } })).data;
  const project = made.project.id;
  const main = made.branch.id;
  seen.projects = (await api.listProjects({ limit: 10 })).data.projects.map((each) => each.name);
  const wanted = {
    branch: { name: "preview/node", parent_id: main },
    endpoints: [{ type: "read_write" }],
    annotation_value: { owner: "node" },
  };
  const created = (await patiently(() => api.createProjectBranch(project, wanted))).data;
  const branch = created.branch.id;
  seen.uris = created.connection_uris.length;
  let pending = created.operations;
  while (pending.some((each) => ["scheduling", "running"].includes(each.status))) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    const asked = pending.map((each) => api.getProjectOperation(project, each.id));
    pending = (await Promise.all(asked)).map((answer) => answer.data.operation);
  }
  seen.operations = pending.map((each) => `${each.action} ${each.status}`);
  const listed = (await api.listProjectBranches({ projectId: project, search: "preview/" })).data;
  seen.branches = listed.branches.map((each) => each.name);
  seen.annotation = listed.annotations[branch].value;
  seen.count = (await api.countProjectBranches({ projectId: project })).data.count;
  seen.endpoints = (await api.listProjectBranchEndpoints(project, branch)).data.endpoints.length;
  const rotate = () => api.resetProjectBranchRolePassword(project, branch, "neondb_owner");
  const reset = (await patiently(rotate)).data.role.password;
  const told = (await api.getProjectBranchRolePassword(project, branch, "neondb_owner")).data.password;
  const query = { projectId: project, branch_id: branch, database_name: "neondb", role_name: "neondb_owner" };
  const { uri } = (await api.getConnectionUri(query)).data;
  seen.password = reset === told && uri.includes(encodeURIComponent(told));
  const rename = () => api.updateProjectBranch(project, branch, { branch: { name: "pr" } });
  seen.renamed = (await patiently(rename)).data.branch.name;
  try {
    await patiently(() => api.createProjectBranch(project, { branch: { name: "pr" } }));
  } catch (error) {
    seen.conflict = [error.response.status, error.response.data.code];
  }
  const remove = () => api.deleteProjectBranch({ projectId: project, branchId: branch });
  seen.deleted = (await patiently(remove)).status;
  seen.again = (await patiently(remove)).status;
  await patiently(() => api.deleteProject(project));
  process.stdout.write(JSON.stringify(seen));
}

main().catch((error) => {
  process.stderr.write(`${error.message} ${JSON.stringify(error.response?.data ?? null)}\n`);
  process.exit(1);
});
