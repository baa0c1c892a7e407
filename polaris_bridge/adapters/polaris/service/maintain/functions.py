"""Functions of the server by group, as policies name them (``/maintain/v1/server/functions``, polaris-server 1.19)."""

from __future__ import annotations

from typing import Final

FUNCTIONS: Final[dict[str, str]] = {
    "Client": """
        RegisterInstance DeregisterInstance ReportServiceContract DiscoverServices DiscoverInstances UpdateInstance
        DiscoverRouterRule DiscoverRateLimitRule DiscoverCircuitBreakerRule DiscoverFaultDetectRule
        DiscoverServiceContract DiscoverLaneRule DiscoverConfigFile WatchConfigFile DiscoverConfigFileNames
        DiscoverConfigGroups
    """,
    "Namespace": "CreateNamespace CreateNamespaces DeleteNamespaces UpdateNamespaces DescribeNamespaces",
    "Service": """
        CreateServices DeleteServices UpdateServices DescribeAllServices DescribeServices DescribeServicesCount
        CreateServiceAlias DeleteServiceAliases UpdateServiceAlias DescribeServiceAliases
    """,
    "ServiceContract": """
        CreateServiceContracts DescribeServiceContracts DescribeServiceContractVersions DeleteServiceContracts
        CreateServiceContractInterfaces AppendServiceContractInterfaces DeleteServiceContractInterfaces
    """,
    "Instance": """
        CreateInstances DeleteInstances DeleteInstancesByHost UpdateInstances UpdateInstancesIsolate DescribeInstances
        DescribeInstancesCount DescribeInstanceLabels CleanInstance BatchCleanInstances DescribeInstanceLastHeartbeat
    """,
    "RouteRule": "CreateRouteRules DeleteRouteRules UpdateRouteRules EnableRouteRules DescribeRouteRules",
    "RateLimitRule": """
        CreateRateLimitRules DeleteRateLimitRules UpdateRateLimitRules EnableRateLimitRules DescribeRateLimitRules
    """,
    "CircuitBreakerRule": """
        CreateCircuitBreakerRules DeleteCircuitBreakerRules EnableCircuitBreakerRules UpdateCircuitBreakerRules
        DescribeCircuitBreakerRules
    """,
    "FaultDetectRule": """
        CreateFaultDetectRules DeleteFaultDetectRules EnableFaultDetectRules UpdateFaultDetectRules
        DescribeFaultDetectRules
    """,
    "LaneRule": "CreateLaneGroups DeleteLaneGroups EnableLaneGroups UpdateLaneGroups DescribeLaneGroups",
    "ConfigGroup": "CreateConfigFileGroup DeleteConfigFileGroup UpdateConfigFileGroup DescribeConfigFileGroups",
    "ConfigFile": """
        PublishConfigFile CreateConfigFile UpdateConfigFile DeleteConfigFile DescribeConfigFileRichInfo
        DescribeConfigFiles BatchDeleteConfigFiles ExportConfigFiles ImportConfigFiles
        DescribeConfigFileReleaseHistories DescribeAllConfigFileTemplates DescribeConfigFileTemplate
        CreateConfigFileTemplate
    """,
    "ConfigRelease": """
        RollbackConfigFileReleases DeleteConfigFileReleases StopGrayConfigFileReleases DescribeConfigFileRelease
        DescribeConfigFileReleases DescribeConfigFileReleaseVersions UpsertAndReleaseConfigFile
    """,
    "User": """
        CreateUsers DeleteUsers DescribeUsers DescribeUserToken EnableUserToken ResetUserToken UpdateUser
        UpdateUserPassword
    """,
    "UserGroup": """
        CreateUserGroup UpdateUserGroups DeleteUserGroups DescribeUserGroups DescribeUserGroupDetail
        DescribeUserGroupToken EnableUserGroupToken ResetUserGroupToken
    """,
    "AuthPolicy": """
        CreateAuthPolicy UpdateAuthPolicies DeleteAuthPolicies DescribeAuthPolicies DescribeAuthPolicyDetail
        DescribePrincipalResources
    """,
}
"""Names of each group, parted by white space."""


def listed() -> list[dict[str, object]]:
    """The list as it is answered."""
    return [{"name": group, "functions": names.split()} for group, names in FUNCTIONS.items()]
