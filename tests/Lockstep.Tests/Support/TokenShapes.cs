namespace Lockstep.Tests.Support;

/// <summary>The claims of others' tokens as their documentation shows them, beside <c>iss</c>, <c>iat</c> and <c>exp</c>.</summary>
internal static class TokenShapes
{
    /// <summary>GitHub Actions, "OpenID Connect reference: understanding the OIDC token", of a job with an environment.</summary>
    public static IReadOnlyList<(string, object?)> GitHub(string repository = "octo-org/octo-repo", string environment = "prod") =>
    [
        ("jti", "example-id"), ("sub", $"repo:{repository}:environment:{environment}"), ("environment", environment), ("aud", "lockstep"), ("ref", "refs/heads/main"),
        ("sha", "example-sha"), ("repository", repository), ("repository_owner", "octo-org"), ("actor_id", "12"), ("repository_visibility", "private"),
        ("repository_id", "74"), ("repository_owner_id", "65"), ("run_id", "example-run-id"), ("run_number", "10"), ("run_attempt", "2"), ("runner_environment", "github-hosted"),
        ("actor", "octocat"), ("workflow", "example-workflow"), ("head_ref", ""), ("base_ref", ""), ("event_name", "workflow_dispatch"), ("ref_type", "branch"),
        ("job_workflow_ref", "octo-org/octo-automation/.github/workflows/oidc.yml@refs/heads/main"),
    ];

    /// <summary>Kubernetes, a projected service account token bound to a pod.</summary>
    public static IReadOnlyList<(string, object?)> Kubernetes(string space = "payments", string account = "api") =>
    [
        ("aud", new[] { "lockstep" }), ("jti", "ea28ed49-2e11-4280-9ec5-bc3d1d84661a"), ("sub", $"system:serviceaccount:{space}:{account}"),
        ("kubernetes.io", new Dictionary<string, object>(StringComparer.Ordinal)
        {
            ["namespace"] = space,
            ["node"] = new { name = "127.0.0.1", uid = "58456cb0-dd00-45ed-b797-5578fdceaced" },
            ["pod"] = new { name = "api-69cbfb9798-jv9gn", uid = "778a530c-b3f4-47c0-9cd5-ab018fb64f33" },
            ["serviceaccount"] = new { name = account, uid = "a087d5a0-e1dd-43ec-93ac-f13d89cd13af" },
        }),
    ];
}
